//! A remote I/O module on Modbus TCP, with barriers that take time to move and loops that a test covers.
//!
//! One module may serve several barriers and lanes. Inputs are discrete inputs (function 2), outputs are coils (functions
//! 1, 5 and 15).

use std::future::{Ready, ready};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_modbus::server::Service;
use tokio_modbus::server::tcp::{Server, accept_tcp_connection};
use tokio_modbus::{ExceptionCode, Request, Response};

/// How a simulated barrier is wired.
#[derive(Clone, Copy, Debug)]
pub struct BarrierWiring {
    /// Coil whose rising edge opens.
    pub open_coil: u16,
    /// Coil whose rising edge closes.
    pub close_coil: u16,
    /// Input that is 1 while fully open.
    pub open_input: u16,
    /// Input that is 1 while fully closed.
    pub closed_input: u16,
    /// Time from closed to open.
    pub travel: Duration,
}

#[derive(Debug)]
struct Barrier {
    wiring: BarrierWiring,
    /// 0 closed, 1 open.
    position: f64,
    target: f64,
    moved: Instant,
    stuck: bool,
}

/// One write to a coil.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CoilWrite {
    /// Which coil.
    pub coil: u16,
    /// What was written.
    pub on: bool,
    /// When.
    pub at: Instant,
}

#[derive(Debug)]
struct Module {
    inputs: Vec<bool>,
    coils: Vec<bool>,
    barriers: Vec<Barrier>,
    writes: Vec<CoilWrite>,
    reads: u64,
    silent: bool,
    refuse: Option<ExceptionCode>,
}

/// The module. Stops when dropped.
#[derive(Debug)]
pub struct RemoteIo {
    module: Arc<Mutex<Module>>,
    address: SocketAddr,
    server: Option<JoinHandle<()>>,
}

#[derive(Clone)]
struct Terminal(Arc<Mutex<Module>>);

fn lock(module: &Mutex<Module>) -> MutexGuard<'_, Module> {
    module.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Barrier {
    fn turn_to(&mut self, target: f64, now: Instant) {
        self.advance(now);
        self.target = target;
    }

    fn advance(&mut self, now: Instant) {
        let elapsed = now.saturating_duration_since(self.moved).as_secs_f64();
        self.moved = now;
        if self.stuck {
            return;
        }
        let step = elapsed / self.wiring.travel.as_secs_f64().max(1e-6);
        self.position += (self.target - self.position).clamp(-step, step);
    }
}

impl Module {
    fn set(&mut self, coil: u16, on: bool) -> Result<(), ExceptionCode> {
        let now = Instant::now();
        let state = self.coils.get_mut(usize::from(coil)).ok_or(ExceptionCode::IllegalDataAddress)?;
        let rising = on && !*state;
        *state = on;
        self.writes.push(CoilWrite { coil, on, at: now });
        for barrier in self.barriers.iter_mut().filter(|_| rising) {
            if coil == barrier.wiring.open_coil {
                barrier.turn_to(1.0, now);
            } else if coil == barrier.wiring.close_coil {
                barrier.turn_to(0.0, now);
            }
        }
        Ok(())
    }

    fn refresh(&mut self) {
        let now = Instant::now();
        for barrier in &mut self.barriers {
            barrier.advance(now);
            for (input, on) in [
                (barrier.wiring.open_input, barrier.position >= 1.0),
                (barrier.wiring.closed_input, barrier.position <= 0.0),
            ] {
                if let Some(state) = self.inputs.get_mut(usize::from(input)) {
                    *state = on;
                }
            }
        }
    }

    fn answer(&mut self, request: Request<'_>) -> Result<Option<Response>, ExceptionCode> {
        if self.silent {
            return Ok(None);
        }
        if let Some(code) = self.refuse {
            return Err(code);
        }
        self.refresh();
        let block = |bits: &[bool], first: u16, count: u16| {
            let first = usize::from(first);
            let block = bits.get(first..first + usize::from(count));
            block.map(<[bool]>::to_vec).ok_or(ExceptionCode::IllegalDataAddress)
        };
        Ok(Some(match request {
            Request::ReadDiscreteInputs(first, count) => {
                self.reads += 1;
                Response::ReadDiscreteInputs(block(&self.inputs, first, count)?)
            }
            Request::ReadCoils(first, count) => Response::ReadCoils(block(&self.coils, first, count)?),
            Request::WriteSingleCoil(coil, on) => {
                self.set(coil, on)?;
                Response::WriteSingleCoil(coil, on)
            }
            Request::WriteMultipleCoils(first, states) => {
                for (coil, on) in (first..).zip(states.iter()) {
                    self.set(coil, *on)?;
                }
                Response::WriteMultipleCoils(first, u16::try_from(states.len()).unwrap_or(u16::MAX))
            }
            _ => return Err(ExceptionCode::IllegalFunction),
        }))
    }
}

impl Service for Terminal {
    type Request = Request<'static>;
    type Response = Option<Response>;
    type Exception = ExceptionCode;
    type Future = Ready<Result<Option<Response>, ExceptionCode>>;

    fn call(&self, request: Self::Request) -> Self::Future {
        ready(lock(&self.0).answer(request))
    }
}

impl RemoteIo {
    /// Starts a module of 32 inputs and 32 coils, all 0, on a free loopback port.
    pub async fn start() -> anyhow::Result<Self> {
        Self::start_with(Vec::new()).await
    }

    /// Starts a module with barriers on it, all closed.
    pub async fn start_with(barriers: Vec<BarrierWiring>) -> anyhow::Result<Self> {
        let moved = Instant::now();
        let barriers = barriers.into_iter();
        let barriers = barriers
            .map(|wiring| Barrier { wiring, position: 0.0, target: 0.0, moved, stuck: false })
            .collect();
        let (inputs, coils) = (vec![false; 32], vec![false; 32]);
        let module =
            Module { inputs, coils, barriers, writes: Vec::new(), reads: 0, silent: false, refuse: None };
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.context("no loopback port")?;
        let address = listener.local_addr()?;
        let mut remote = Self { module: Arc::new(Mutex::new(module)), address, server: None };
        remote.serve(listener);
        Ok(remote)
    }

    fn serve(&mut self, listener: TcpListener) {
        let terminal = Terminal(self.module.clone());
        self.server = Some(tokio::spawn(async move {
            let accept = |stream, peer| {
                let terminal = terminal.clone();
                ready(accept_tcp_connection(stream, peer, move |_| Ok(Some(terminal.clone()))))
            };
            let failed = |error| tracing::debug!("a connection ended: {error}");
            if let Err(error) = Server::new(listener).serve(&accept, failed).await {
                tracing::warn!("the simulated module stopped: {error}");
            }
        }));
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sets an input that no barrier drives.
    pub fn set_input(&self, input: u16, on: bool) {
        if let Some(state) = lock(&self.module).inputs.get_mut(usize::from(input)) {
            *state = on;
        }
    }

    /// The state of an input; `None` if the module has no such input.
    pub fn input(&self, input: u16) -> Option<bool> {
        let mut module = lock(&self.module);
        module.refresh();
        module.inputs.get(usize::from(input)).copied()
    }

    /// The state of a coil; `None` if the module has no such coil.
    pub fn coil(&self, coil: u16) -> Option<bool> {
        lock(&self.module).coils.get(usize::from(coil)).copied()
    }

    /// Sets a coil as if somebody had before.
    pub fn set_coil(&self, coil: u16, on: bool) {
        if let Some(state) = lock(&self.module).coils.get_mut(usize::from(coil)) {
            *state = on;
        }
    }

    /// Every write to `coil` so far.
    pub fn writes(&self, coil: u16) -> Vec<CoilWrite> {
        lock(&self.module).writes.iter().filter(|write| write.coil == coil).copied().collect()
    }

    /// How often the inputs were read so far.
    pub fn reads(&self) -> u64 {
        lock(&self.module).reads
    }

    /// Where barrier `index` is, from 0 (closed) to 1 (open); `None` if there is no such barrier.
    pub fn position(&self, index: usize) -> Option<f64> {
        let mut module = lock(&self.module);
        module.refresh();
        module.barriers.get(index).map(|barrier| barrier.position)
    }

    /// Blocks barrier `index`, or frees it.
    pub fn set_stuck(&self, index: usize, stuck: bool) {
        let mut module = lock(&self.module);
        module.refresh();
        if let Some(barrier) = module.barriers.get_mut(index) {
            barrier.stuck = stuck;
        }
    }

    /// Answers nothing any more, with the connection left open; or answers again.
    pub fn set_silent(&self, silent: bool) {
        lock(&self.module).silent = silent;
    }

    /// Answers every request with an exception; or answers again.
    pub fn set_refusal(&self, code: Option<ExceptionCode>) {
        lock(&self.module).refuse = code;
    }

    /// Cuts every connection and takes no more, until [`RemoteIo::plug_in`].
    pub async fn unplug(&mut self) {
        if let Some(server) = self.server.take() {
            server.abort();
            let _ = server.await;
        }
    }

    /// Listens again where it did.
    pub async fn plug_in(&mut self) -> anyhow::Result<()> {
        let listener =
            TcpListener::bind(self.address).await.context("the module's port was taken meanwhile")?;
        self.serve(listener);
        Ok(())
    }

    /// Cuts every connection; new ones are taken.
    pub async fn drop_connections(&mut self) -> anyhow::Result<()> {
        self.unplug().await;
        self.plug_in().await
    }
}

impl Drop for RemoteIo {
    fn drop(&mut self) {
        if let Some(server) = &self.server {
            server.abort();
        }
    }
}
