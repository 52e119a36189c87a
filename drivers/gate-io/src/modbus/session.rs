//! The session with one module: reads the inputs, feeds the rules, switches the outputs, answers the commands.
//!
//! Whatever ends a session, the impulse outputs are released, over a new connection if the old one is lost, and once
//! more at the next start, because a power cut may come between. Lights keep their state. What was commanded is
//! answered as failed; nothing is repeated by itself.

use std::collections::VecDeque;
use std::time::Duration;

use interface::{
    Command, CommandReply, Driver, DriverContext, DriverFault, GateAction, Light, ProbeReport, Reading,
    async_trait,
};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until, timeout};

use super::barrier::{Act, Barrier, Output, Sensed, Settings, Under};
use super::inputs::{Debounced, Presence};
use super::wire::{Module, WireError};
use super::{BarrierParameters, InputArea, Parameters};

/// Readings that may wait for the daemon. Presence is never waited for: the loop under a closing barrier goes first.
const MAX_PENDING: usize = 64;

type Ticket = oneshot::Sender<CommandReply>;

/// The running driver.
pub(super) struct Gate {
    parameters: Parameters,
}

/// What a session knows, the connection aside.
struct State {
    parameters: Parameters,
    started: Instant,
    inputs: Vec<(u16, Debounced)>,
    presence: Presence,
    barrier: Option<Barrier<Ticket>>,
    pending: VecDeque<Reading>,
}

/// Why a session ended.
enum End {
    Stopped,
    Fault(String),
}

impl From<WireError> for End {
    fn from(error: WireError) -> Self {
        Self::Fault(error.to_string())
    }
}

impl Gate {
    pub(super) fn new(parameters: Parameters) -> Self {
        Self { parameters }
    }
}

#[async_trait]
impl Driver for Gate {
    async fn run(self: Box<Self>, mut context: DriverContext) -> Result<(), DriverFault> {
        let parameters = self.parameters;
        context.connecting(Some(format!("connecting to {}", parameters.address)));
        let mut state = State::new(parameters.clone());
        let mut module = None;
        let end = match connect(&parameters).await {
            Ok(connected) => {
                let connected = module.insert(connected);
                state.work(connected, &mut context).await
            }
            Err(error) => error.into(),
        };
        let why = match &end {
            End::Stopped => "the driver was stopped".to_owned(),
            End::Fault(why) => format!("no link to the module: {why}"),
        };
        state.give_up(&why);
        let released = release(module, &parameters).await;
        // Commands that came meanwhile.
        while let Ok(command) = timeout(Duration::ZERO, context.command()).await {
            let _ = command.reply.send(Err(format!("not done: {why}")));
        }
        match end {
            End::Stopped => Ok(()),
            End::Fault(why) if released => Err(DriverFault(why)),
            End::Fault(why) => Err(DriverFault(format!(
                "{why}; the impulse outputs could not be released and will be at the next connection"
            ))),
        }
    }
}

async fn connect(parameters: &Parameters) -> Result<Module, WireError> {
    let limit = Duration::from_millis(parameters.timeout_ms);
    Module::connect(&parameters.address, parameters.unit, limit).await
}

/// Switches the impulse outputs off, over `module` or, where that fails, over a new connection. Says whether it did.
async fn release(module: Option<Module>, parameters: &Parameters) -> bool {
    let Some(barrier) = &parameters.barrier else { return true };
    if let Some(mut module) = module
        && switch_off(&mut module, barrier).await.is_ok()
    {
        return true;
    }
    match connect(parameters).await {
        Ok(mut module) => switch_off(&mut module, barrier).await.is_ok(),
        Err(_) => false,
    }
}

async fn switch_off(module: &mut Module, barrier: &BarrierParameters) -> Result<(), WireError> {
    module.write(barrier.open_coil, false).await?;
    match barrier.close_coil {
        Some(coil) => module.write(coil, false).await,
        None => Ok(()),
    }
}

impl State {
    fn new(parameters: Parameters) -> Self {
        let inputs = parameters.inputs().into_iter().map(|(_, n)| (n, Debounced::default())).collect();
        let barrier = parameters.barrier.as_ref().map(|barrier| {
            Barrier::new(Settings {
                pulse_ms: barrier.pulse_ms,
                travel_timeout_ms: barrier.travel_timeout_ms,
                close_wait_ms: barrier.close_wait_ms,
                clear_ms: barrier.clear_ms,
                can_close: barrier.close_coil.is_some(),
                senses_open: barrier.open_feedback_input.is_some(),
                senses_closed: barrier.closed_feedback_input.is_some(),
            })
        });
        let presence = Presence::default();
        Self { parameters, started: Instant::now(), inputs, presence, barrier, pending: VecDeque::new() }
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Works until something ends it.
    async fn work(&mut self, module: &mut Module, context: &mut DriverContext) -> End {
        match self.work_on(module, context).await {
            Ok(never) => match never {},
            Err(end) => end,
        }
    }

    async fn work_on(
        &mut self,
        module: &mut Module,
        context: &mut DriverContext,
    ) -> Result<std::convert::Infallible, End> {
        if let Some(barrier) = &self.parameters.barrier {
            switch_off(module, barrier).await?;
        }
        let stop = context.stop_token();
        let poll = Duration::from_millis(self.parameters.poll_ms);
        let mut next_look = Instant::now();
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return Err(End::Stopped),
                () = sleep_until(next_look) => {
                    self.look(module).await?;
                    match self.barrier.as_ref().and_then(Barrier::fault) {
                        Some(fault) => context.degraded(fault),
                        None => context.online(),
                    }
                    next_look = self.next_look(Instant::now() + poll);
                }
                command = context.command() => {
                    self.command(command, module).await?;
                    next_look = self.next_look(next_look);
                }
            }
            self.hand_over(context).await?;
        }
    }

    /// The end of an impulse does not wait for the next poll.
    fn next_look(&self, poll: Instant) -> Instant {
        match self.barrier.as_ref().and_then(Barrier::impulse_ends) {
            Some(end) => poll.min(self.started + Duration::from_millis(end)),
            None => poll,
        }
    }

    /// Reads the inputs and does what follows from them.
    async fn look(&mut self, module: &mut Module) -> Result<(), End> {
        let (first, bits) = match self.parameters.block() {
            Some((first, count)) => (first, module.read(self.parameters.input_area, first, count).await?),
            // Without inputs a look still shows that the module is there.
            None => {
                let coil = self.parameters.coils().first().map_or(0, |(_, number)| *number);
                module.read(InputArea::Coils, coil, 1).await?;
                (0, Vec::new())
            }
        };
        let now = self.now_ms();
        let raw = |number: u16| -> Option<bool> {
            let bit = *bits.get(usize::from(number.checked_sub(first)?))?;
            Some(bit != self.parameters.inverted.contains(&number))
        };
        for (number, debounced) in &mut self.inputs {
            if let Some(raw) = raw(*number) {
                debounced.update(raw, now, self.parameters.debounce_ms);
            }
        }
        let stable = |number: Option<u16>| -> Option<bool> {
            let number = number?;
            self.inputs.iter().find(|(input, _)| *input == number)?.1.stable()
        };
        let Parameters { presence_input, second_presence_input, barrier, .. } = &self.parameters;
        let second =
            if second_presence_input.is_some() { stable(*second_presence_input) } else { Some(false) };
        if let (Some(a), Some(b)) = (stable(*presence_input), second) {
            self.pending.extend(self.presence.update(a, b));
        }
        let (Some(rules), Some(barrier)) = (&mut self.barrier, barrier) else { return Ok(()) };
        let under = match (barrier.safety_input.and_then(raw), stable(barrier.safety_input)) {
            // A vehicle counts before the debounce time is over, its going only after.
            (Some(true), _) => Under::Occupied,
            (Some(false), Some(false)) => Under::Free,
            (Some(false), Some(true)) => Under::Occupied,
            _ => Under::Unknown,
        };
        let sensed = Sensed {
            under,
            open: stable(barrier.open_feedback_input),
            closed: stable(barrier.closed_feedback_input),
        };
        let acts = rules.look(now, sensed);
        perform(acts, barrier, module).await
    }

    async fn command(&mut self, command: Command, module: &mut Module) -> Result<(), End> {
        let now = self.now_ms();
        let Command { action, reply } = command;
        let acts = match (action, &mut self.barrier, &self.parameters.barrier) {
            (GateAction::SetLight { light }, _, _) => return self.set_light(light, reply, module).await,
            (GateAction::OpenBarrier, Some(rules), Some(barrier)) => (rules.open(now, reply), barrier),
            (GateAction::CloseBarrier, Some(rules), Some(barrier)) => (rules.close(now, reply), barrier),
            _ => {
                let _ = reply.send(Err("not done: no `barrier` is configured here".to_owned()));
                return Ok(());
            }
        };
        perform(acts.0, acts.1, module).await
    }

    async fn set_light(&self, light: Light, reply: Ticket, module: &mut Module) -> Result<(), End> {
        let Some(lights) = &self.parameters.lights else {
            let _ = reply.send(Err("not done: no `lights` are configured here".to_owned()));
            return Ok(());
        };
        let (red, green) = (lights.red_coil, lights.green_coil);
        // The lamp that goes out goes first, so that never both are lit.
        let writes = match light {
            Light::Red => [(green, false), (red, true)],
            Light::Green => [(red, false), (green, true)],
            Light::Off => [(green, false), (red, false)],
        };
        for (coil, on) in writes {
            if let Err(error) = module.write(coil, on).await {
                let _ = reply.send(Err(format!("the light may be anything: {error}")));
                return Err(error.into());
            }
        }
        let _ = reply.send(Ok(format!("the light is {light}")));
        Ok(())
    }

    /// Hands readings over as far as the daemon takes them now.
    async fn hand_over(&mut self, context: &DriverContext) -> Result<(), End> {
        while let Some(reading) = self.pending.front() {
            match timeout(Duration::ZERO, context.observe(reading.clone(), None, Vec::new())).await {
                Ok(Ok(())) => drop(self.pending.pop_front()),
                Ok(Err(_stopped)) => return Err(End::Stopped),
                Err(_) if self.pending.len() > MAX_PENDING => {
                    let why = format!(
                        "the daemon did not take {MAX_PENDING} readings; starting over with the state then"
                    );
                    return Err(End::Fault(why));
                }
                Err(_) => return Ok(()),
            }
        }
        Ok(())
    }

    /// Answers every open command; the outputs are released by [`release`].
    fn give_up(&mut self, why: &str) {
        for act in self.barrier.iter_mut().flat_map(|barrier| barrier.halt(&format!("not done: {why}"))) {
            if let Act::Reply(reply, answer) = act {
                let _ = reply.send(answer);
            }
        }
    }
}

/// Switches and answers, in order. Once a write has failed, what follows is answered as failed too.
async fn perform(
    acts: Vec<Act<Ticket>>,
    barrier: &BarrierParameters,
    module: &mut Module,
) -> Result<(), End> {
    let mut failed: Option<WireError> = None;
    for act in acts {
        match (act, &failed) {
            (Act::Reply(reply, answer), None) => drop(reply.send(answer)),
            (Act::Reply(reply, _), Some(error)) => drop(reply.send(Err(format!("not done: {error}")))),
            (Act::Switch(..), Some(_)) => {}
            (Act::Switch(output, on), None) => {
                let coil = match output {
                    Output::Open => Some(barrier.open_coil),
                    Output::Close => barrier.close_coil,
                };
                if let Some(coil) = coil {
                    failed = module.write(coil, on).await.err();
                }
            }
        }
    }
    failed.map_or(Ok(()), |error| Err(error.into()))
}

/// Reads every input and coil in use once, and switches nothing.
pub(super) async fn probe(parameters: &Parameters) -> ProbeReport {
    let mut findings = Vec::new();
    match look_around(parameters, &mut findings).await {
        Ok(()) => ProbeReport::found(findings),
        Err(error) => {
            findings.push(error.to_string());
            ProbeReport::failed(findings)
        }
    }
}

async fn look_around(parameters: &Parameters, findings: &mut Vec<String>) -> Result<(), WireError> {
    let Parameters { address, unit, input_area, inverted, .. } = parameters;
    let mut module = connect(parameters).await?;
    findings.push(format!("connected to {address}, unit {unit}"));
    if let Some((first, count)) = parameters.block() {
        let bits = module.read(*input_area, first, count).await?;
        for (name, number) in parameters.inputs() {
            let bit = bits.get(usize::from(number.saturating_sub(first))).copied().unwrap_or_default();
            let turned = if inverted.contains(&number) { ", inverted" } else { "" };
            findings.push(format!("input {number} (`{name}`{turned}) is {}", u8::from(bit)));
        }
    }
    for (name, number) in parameters.coils() {
        let bits = module.read(InputArea::Coils, number, 1).await?;
        let bit = bits.first().copied().unwrap_or_default();
        findings.push(format!("coil {number} (`{name}`) is {}", u8::from(bit)));
    }
    Ok(())
}
