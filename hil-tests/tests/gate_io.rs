//! The gate driver over Modbus TCP: against the simulated module, and against pymodbus as a process.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

use std::process::Command;
use std::time::Duration;

use gate_io::modbus::ModbusIo;
use gate_io::modbus::wire::Module;
use hil_tests::peer::{Peer, free_port, python_program, repository, wait_for_port, wait_until};
use hil_tests::sim::modbus::{BarrierWiring, RemoteIo};
use interface::{
    CommandReply, ContextHandles, DriverContext, DriverFault, GateAction, HealthState, Light, Outgoing, Plan,
    Protocol, Reading, SensorId,
};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_modbus::client::{Reader, tcp};
use tokio_modbus::{ExceptionCode, Slave};

const LIMIT: Duration = Duration::from_secs(30);
const WIRING: BarrierWiring = BarrierWiring {
    open_coil: 0,
    close_coil: 1,
    open_input: 8,
    closed_input: 9,
    travel: Duration::from_millis(400),
};
const GATE: &str = "presence_input = 0\npoll_ms = 10\ndebounce_ms = 20\ntimeout_ms = 300\n\
    barrier = { open_coil = 0, close_coil = 1, open_feedback_input = 8, closed_feedback_input = 9, safety_input = 1,\n\
      pulse_ms = 100, travel_timeout_ms = 2000, close_wait_ms = 400, clear_ms = 100 }\n\
    lights = { red_coil = 4, green_coil = 5 }";

struct Gate {
    readings: mpsc::Receiver<Outgoing>,
    handles: ContextHandles,
    run: JoinHandle<Result<(), DriverFault>>,
}

fn plan(address: impl std::fmt::Display, parameters: &str) -> Box<dyn Plan> {
    let text = format!("address = '{address}'\n{parameters}");
    ModbusIo.parse(toml::from_str(&text).unwrap()).map_err(|error| error.to_string()).unwrap()
}

impl Gate {
    fn start(plan: &dyn Plan) -> Self {
        let (sender, readings) = mpsc::channel(64);
        let (context, handles) = DriverContext::new(SensorId("gate".into()), sender);
        Self { readings, handles, run: tokio::spawn(plan.start().run(context)) }
    }

    async fn command(&self, action: GateAction) -> oneshot::Receiver<CommandReply> {
        let (reply, answer) = oneshot::channel();
        self.handles.commands.send(interface::Command { action, reply }).await.unwrap();
        answer
    }

    async fn told(&self, action: GateAction) -> CommandReply {
        timeout(LIMIT, self.command(action).await).await.expect("an answer in time").expect("an answer")
    }

    async fn reading(&mut self) -> Reading {
        timeout(LIMIT, self.readings.recv()).await.expect("a reading in time").unwrap().reading
    }

    async fn state(&mut self, state: HealthState) -> Option<String> {
        timeout(LIMIT, self.handles.state.wait_for(|now| now.0 == state)).await.unwrap().unwrap().1.clone()
    }

    async fn ended(self) -> Result<(), DriverFault> {
        timeout(LIMIT, self.run).await.unwrap().unwrap()
    }

    async fn stop(self) {
        self.handles.stop.cancel();
        assert_eq!(self.ended().await, Ok(()));
    }
}

fn presence(occupied: bool) -> Reading {
    Reading::Presence { occupied }
}

#[tokio::test]
async fn presence_is_told_at_first_and_at_each_edge() {
    let module = RemoteIo::start().await.unwrap();
    let mut gate = Gate::start(&*plan(module.address(), "presence_input = 3\npoll_ms = 10"));
    for occupied in [false, true, false, true] {
        module.set_input(3, occupied);
        assert_eq!(gate.reading().await, presence(occupied));
    }
    gate.state(HealthState::Online).await;
    gate.stop().await;
}

#[tokio::test]
async fn two_loops_find_who_drives_the_wrong_way() {
    let module = RemoteIo::start().await.unwrap();
    let parameters =
        "presence_input = 0\nsecond_presence_input = 1\ninverted = [0, 1]\npoll_ms = 10\ndebounce_ms = 0";
    let (free, covered) = (true, false);
    for input in [0, 1] {
        module.set_input(input, free);
    }
    let mut gate = Gate::start(&*plan(module.address(), parameters));
    assert_eq!(gate.reading().await, presence(false));
    // With the second loop covered before the first, and freed before it.
    module.set_input(1, covered);
    assert_eq!(gate.reading().await, presence(true));
    module.set_input(0, covered);
    module.set_input(1, free);
    let before = module.reads();
    wait_until("a look at the loops between", LIMIT, async || module.reads() >= before + 2).await.unwrap();
    module.set_input(0, free);
    assert_eq!(gate.reading().await, presence(false));
    assert!(
        matches!(gate.reading().await, Reading::Anomaly(verdict) if verdict.verdict.as_deref() == Some("wrong_way"))
    );
    gate.stop().await;
}

#[tokio::test]
async fn the_barrier_opens_and_closes_by_impulses() {
    let module = RemoteIo::start_with(vec![WIRING]).await.unwrap();
    let gate = Gate::start(&*plan(module.address(), GATE));
    assert_eq!(gate.told(GateAction::OpenBarrier).await, Ok("the barrier is open".into()));
    assert_eq!(module.position(0), Some(1.0));
    assert_eq!(gate.told(GateAction::CloseBarrier).await, Ok("the barrier is closed".into()));
    assert_eq!(module.position(0), Some(0.0));
    for coil in [0, 1] {
        let writes: Vec<_> = module.writes(coil).into_iter().skip(1).collect(); // the release at the start
        assert_eq!(writes.iter().map(|write| write.on).collect::<Vec<_>>(), [true, false]);
        let length = writes[1].at - writes[0].at;
        assert!(length >= Duration::from_millis(90), "{length:?}");
    }
    gate.stop().await;
}

#[tokio::test]
async fn lights_never_shine_together() {
    let module = RemoteIo::start().await.unwrap();
    let gate = Gate::start(&*plan(module.address(), "lights = { red_coil = 4, green_coil = 5 }"));
    for (light, red, green) in [
        (Light::Red, true, false),
        (Light::Green, false, true),
        (Light::Red, true, false),
        (Light::Off, false, false),
    ] {
        assert_eq!(gate.told(GateAction::SetLight { light }).await, Ok(format!("the light is {light}")));
        assert_eq!((module.coil(4), module.coil(5)), (Some(red), Some(green)));
    }
    let refused = gate.told(GateAction::OpenBarrier).await.unwrap_err();
    assert!(refused.contains("no `barrier`"), "{refused}");
    gate.stop().await;
}

#[tokio::test]
async fn closing_waits_for_the_loop_and_is_refused_while_it_is_covered() {
    let module = RemoteIo::start_with(vec![WIRING]).await.unwrap();
    let gate = Gate::start(&*plan(module.address(), GATE));
    gate.told(GateAction::OpenBarrier).await.unwrap();
    module.set_input(1, true);
    let refused = gate.told(GateAction::CloseBarrier).await.unwrap_err();
    assert!(refused.contains("occupied") && refused.contains("400 ms"), "{refused}");
    assert!(module.writes(1).iter().all(|write| !write.on), "the close coil was never on");

    let answer = gate.command(GateAction::CloseBarrier).await;
    module.set_input(1, false);
    assert_eq!(timeout(LIMIT, answer).await.unwrap().unwrap(), Ok("the barrier is closed".into()));
    gate.stop().await;
}

#[tokio::test]
async fn a_vehicle_under_the_closing_barrier_opens_it_again() {
    let slow = BarrierWiring { travel: Duration::from_millis(1000), ..WIRING };
    let module = RemoteIo::start_with(vec![slow]).await.unwrap();
    let gate = Gate::start(&*plan(module.address(), GATE));
    gate.told(GateAction::OpenBarrier).await.unwrap();
    let answer = gate.command(GateAction::CloseBarrier).await;
    wait_until("the barrier to move", LIMIT, async || module.position(0) < Some(0.9)).await.unwrap();
    module.set_input(1, true);
    let refused = timeout(LIMIT, answer).await.unwrap().unwrap().unwrap_err();
    assert!(refused.contains("came under"), "{refused}");
    wait_until("the barrier to be open again", LIMIT, async || module.position(0) == Some(1.0))
        .await
        .unwrap();
    gate.stop().await;
}

#[tokio::test]
async fn a_stuck_barrier_is_said_and_a_moving_one_clears_it() {
    let module = RemoteIo::start_with(vec![WIRING]).await.unwrap();
    let mut gate = Gate::start(&*plan(module.address(), GATE));
    module.set_stuck(0, true);
    let failed = gate.told(GateAction::OpenBarrier).await.unwrap_err();
    assert!(failed.contains("did not say so within 2000 ms"), "{failed}");
    assert!(gate.state(HealthState::Degraded).await.unwrap().contains("blocked"));
    module.set_stuck(0, false);
    gate.told(GateAction::OpenBarrier).await.unwrap();
    gate.state(HealthState::Online).await;
    gate.stop().await;
}

#[tokio::test]
async fn a_lost_link_fails_what_was_commanded_and_releases_the_impulse() {
    let module_plan =
        |module: &RemoteIo| plan(module.address(), &GATE.replace("pulse_ms = 100", "pulse_ms = 1500"));
    let mut module = RemoteIo::start_with(vec![WIRING]).await.unwrap();
    let plan = module_plan(&module);
    let gate = Gate::start(&*plan);
    let answer = gate.command(GateAction::OpenBarrier).await;
    wait_until("the impulse", LIMIT, async || module.coil(0) == Some(true)).await.unwrap();
    module.drop_connections().await.unwrap();
    let failed = timeout(LIMIT, answer).await.unwrap().unwrap().unwrap_err();
    assert!(failed.contains("no link to the module"), "{failed}");
    assert!(gate.ended().await.is_err());
    assert_eq!(module.coil(0), Some(false), "released over a new connection");

    // Unplugged in the middle of an impulse: released as soon as the module is back.
    let gate = Gate::start(&*plan);
    let answer = gate.command(GateAction::OpenBarrier).await;
    wait_until("the impulse", LIMIT, async || module.coil(0) == Some(true)).await.unwrap();
    module.unplug().await;
    assert!(timeout(LIMIT, answer).await.unwrap().unwrap().is_err());
    let fault = gate.ended().await.unwrap_err().to_string();
    assert!(fault.contains("could not be released"), "{fault}");
    assert_eq!(module.coil(0), Some(true));
    let gate = Gate::start(&*plan);
    let refused = gate.told(GateAction::OpenBarrier).await.unwrap_err();
    assert!(refused.contains("failed to connect"), "a command without a link is answered: {refused}");
    module.plug_in().await.unwrap();
    let mut gate = Gate::start(&*plan);
    assert_eq!(gate.reading().await, presence(false), "read anew");
    assert_eq!(module.coil(0), Some(false));
    gate.stop().await;
}

#[tokio::test]
async fn a_silent_module_ends_a_waiting_close() {
    let module = RemoteIo::start_with(vec![WIRING]).await.unwrap();
    let gate =
        Gate::start(&*plan(module.address(), &GATE.replace("close_wait_ms = 400", "close_wait_ms = 60000")));
    gate.told(GateAction::OpenBarrier).await.unwrap();
    module.set_input(1, true);
    let answer = gate.command(GateAction::CloseBarrier).await;
    module.set_silent(true);
    let failed = timeout(LIMIT, answer).await.unwrap().unwrap().unwrap_err();
    assert!(failed.contains("no answer"), "{failed}");
    assert!(gate.ended().await.is_err());
    assert!(module.writes(1).iter().all(|write| !write.on));
}

#[tokio::test]
async fn stopping_releases_the_impulse() {
    let module = RemoteIo::start_with(vec![WIRING]).await.unwrap();
    let gate = Gate::start(&*plan(module.address(), &GATE.replace("pulse_ms = 100", "pulse_ms = 1500")));
    let answer = gate.command(GateAction::OpenBarrier).await;
    wait_until("the impulse", LIMIT, async || module.coil(0) == Some(true)).await.unwrap();
    gate.stop().await;
    assert_eq!(module.coil(0), Some(false));
    assert!(answer.await.unwrap().unwrap_err().contains("stopped"));
}

#[tokio::test]
async fn an_impulse_left_from_before_is_released_at_the_start() {
    let module = RemoteIo::start_with(vec![WIRING]).await.unwrap();
    module.set_coil(1, true);
    let mut gate = Gate::start(&*plan(module.address(), GATE));
    gate.state(HealthState::Online).await;
    assert_eq!(module.coil(1), Some(false));
    gate.stop().await;
}

#[tokio::test]
async fn a_daemon_that_takes_no_readings_does_not_stop_the_barrier() {
    let module = RemoteIo::start_with(vec![WIRING]).await.unwrap();
    let (sender, mut readings) = mpsc::channel(1);
    let (context, handles) = DriverContext::new(SensorId("gate".into()), sender);
    let run = tokio::spawn(plan(module.address(), GATE).start().run(context));
    let gate = Gate { readings: mpsc::channel(1).1, handles, run };
    for occupied in [true, false, true, false] {
        module.set_input(0, occupied);
        gate.told(GateAction::OpenBarrier).await.unwrap();
    }
    let mut seen = Vec::new();
    while seen.len() < 4 {
        seen.push(timeout(LIMIT, readings.recv()).await.unwrap().unwrap().reading);
    }
    assert_eq!(seen, [true, false, true, false].map(presence), "late, in order, and all");
    gate.stop().await;
}

#[tokio::test]
async fn two_lanes_share_a_module() {
    let second = BarrierWiring { open_coil: 2, close_coil: 3, open_input: 10, closed_input: 11, ..WIRING };
    let module = RemoteIo::start_with(vec![WIRING, second]).await.unwrap();
    let one = plan(module.address(), "barrier = { open_coil = 0, open_feedback_input = 8 }");
    let two = plan(module.address(), "barrier = { open_coil = 2, open_feedback_input = 10 }");
    assert!(one.claims().iter().all(|claim| !two.claims().contains(claim)));
    let (one, two) = (Gate::start(&*one), Gate::start(&*two));
    two.told(GateAction::OpenBarrier).await.unwrap();
    assert_eq!((module.position(0), module.position(1)), (Some(0.0), Some(1.0)));
    one.told(GateAction::OpenBarrier).await.unwrap();
    assert_eq!(module.position(0), Some(1.0));
    let refused = one.told(GateAction::CloseBarrier).await.unwrap_err();
    assert!(refused.contains("closes by itself"), "{refused}");
    one.stop().await;
    two.stop().await;
}

#[tokio::test]
async fn probe_reads_and_switches_nothing() {
    let module = RemoteIo::start_with(vec![WIRING]).await.unwrap();
    let plan = plan(module.address(), GATE);
    let report = plan.probe().await;
    assert!(report.ok, "{report:?}");
    for line in ["input 9 (`barrier.closed_feedback_input`) is 1", "coil 4 (`lights.red_coil`) is 0"] {
        assert!(report.findings.iter().any(|finding| finding == line), "{report:?}");
    }
    assert!((0..6).all(|coil| module.writes(coil).is_empty()));
    module.set_refusal(Some(ExceptionCode::IllegalFunction));
    let report = plan.probe().await;
    assert!(!report.ok && report.findings.last().unwrap().contains("check `inputs`"), "{report:?}");
}

/// pymodbus, and a connection of the test's own to set its inputs and count its impulses.
async fn pymodbus() -> (Peer, u16, Module) {
    let port = free_port().unwrap();
    let mut command = Command::new(python_program("python").unwrap());
    command.arg(repository().join("hil-tests/peers/modbus_server.py")).arg(port.to_string());
    let peer = Peer::spawn(&mut command).unwrap();
    wait_for_port(port, Duration::from_secs(30)).await.unwrap();
    let hand = Module::connect(&format!("127.0.0.1:{port}"), 1, LIMIT).await.unwrap();
    (peer, port, hand)
}

async fn edges(port: u16, coil: u16) -> u16 {
    let mut client = tcp::connect_slave(([127, 0, 0, 1], port).into(), Slave(1)).await.unwrap();
    client.read_holding_registers(coil, 1).await.unwrap().unwrap()[0]
}

#[tokio::test]
async fn pymodbus_sees_what_the_rules_allow() {
    let (peer, port, mut hand) = pymodbus().await;
    let parameters = "presence_input = 0\npoll_ms = 20\n\
        barrier = { open_coil = 0, close_coil = 1, safety_input = 1, pulse_ms = 100, travel_timeout_ms = 500,\n\
          close_wait_ms = 300, clear_ms = 100 }";
    let plan = plan(format!("127.0.0.1:{port}"), parameters);
    assert!(plan.probe().await.ok);
    let mut gate = Gate::start(&*plan);
    assert_eq!(gate.reading().await, presence(false));
    for occupied in [true, false] {
        hand.write(100, occupied).await.unwrap();
        assert_eq!(gate.reading().await, presence(occupied));
    }

    assert!(gate.told(GateAction::OpenBarrier).await.unwrap().contains("impulse given"));
    assert_eq!(edges(port, 0).await, 1);
    hand.write(101, true).await.unwrap();
    let refused = gate.told(GateAction::CloseBarrier).await.unwrap_err();
    assert!(refused.contains("occupied"), "{refused}");
    assert_eq!(edges(port, 1).await, 0, "the close coil was never on");
    hand.write(101, false).await.unwrap();
    assert!(gate.told(GateAction::CloseBarrier).await.unwrap().contains("impulse given"));
    assert_eq!(edges(port, 1).await, 1);

    let answer = gate.command(GateAction::OpenBarrier).await;
    drop(peer);
    assert!(timeout(LIMIT, answer).await.unwrap().unwrap().is_err());
    assert!(gate.ended().await.is_err());
}
