//! The drivers `weigh-scale/tenso_m` and `weigh-scale/toledo_continuous` against simulated indicators, on a pty and
//! over TCP.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

use std::time::Duration;

use hil_tests::sim::scale::{Indicator, SimScale};
use hil_tests::sim::tenso_m::{TensoM, WrongForm};
use hil_tests::sim::toledo_continuous::Toledo;
use interface::{
    ContextHandles, DriverContext, DriverFault, HealthState, Outgoing, Plan, Protocol, Reading, WeighMode,
};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;

const LIMIT: Duration = Duration::from_secs(60);
const TENSO_M: &dyn Protocol = &weigh_scale::tenso_m::TensoM;
const TOLEDO: &dyn Protocol = &weigh_scale::toledo_continuous::ToledoContinuous;

struct Running {
    readings: mpsc::Receiver<Outgoing>,
    handles: ContextHandles,
    task: JoinHandle<Result<(), DriverFault>>,
}

impl Running {
    fn start(plan: &dyn Plan) -> Self {
        let (sender, readings) = mpsc::channel(64);
        let (context, handles) = DriverContext::new("scale".into(), sender);
        Self { readings, handles, task: tokio::spawn(plan.start().run(context)) }
    }

    async fn state(&mut self, state: HealthState) -> String {
        let found = timeout(LIMIT, self.handles.state.wait_for(|(now, _)| *now == state)).await;
        found.expect("the state did not come in time").unwrap().1.clone().unwrap_or_default()
    }

    /// The next weight and whether it was stable.
    async fn weight(&mut self) -> (i64, bool) {
        let outgoing = timeout(LIMIT, self.readings.recv()).await.expect("no weight in time").unwrap();
        match outgoing.reading {
            Reading::Weight { gross_kg, stable, mode: WeighMode::Static, axles_kg: None } => {
                (gross_kg, stable)
            }
            other => panic!("{other:?}"),
        }
    }

    async fn fault(self) -> String {
        timeout(LIMIT, self.task).await.expect("the driver did not end").unwrap().unwrap_err().to_string()
    }

    async fn stop(self) {
        self.handles.stop.cancel();
        assert_eq!(timeout(LIMIT, self.task).await.unwrap().unwrap(), Ok(()));
    }
}

fn plan(protocol: &dyn Protocol, scale: &SimScale, more: &str) -> Box<dyn Plan> {
    protocol.parse(toml::from_str(&format!("{}\n{more}", scale.parameter())).unwrap()).unwrap()
}

/// Vehicles, an overload, one that does not stop; then the plug is pulled and put back.
async fn a_working_day(protocol: &dyn Protocol, mut scale: SimScale, more: &str) {
    let plan = plan(protocol, &scale, more);
    let mut driver = Running::start(&*plan);
    driver.state(HealthState::Online).await;

    scale.put(18_540, 600);
    assert_eq!(driver.weight().await, (18_540, true));
    scale.put(36_200, 300);
    assert_eq!(driver.weight().await, (36_200, true), "the trailer is on the platform too");
    scale.remove();

    scale.put(75_000, 100);
    let why = driver.state(HealthState::Degraded).await;
    assert!(why.contains("range") && why.contains("no weight"), "{why}");
    scale.remove();
    driver.state(HealthState::Online).await;

    // Rolls over without ever standing still: it leaves before the display has settled.
    scale.put(24_000, 3_000);
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    scale.remove();
    let (kg, stable) = driver.weight().await;
    assert!(!stable && (22_000..26_000).contains(&kg), "{kg} kg, stable {stable}");

    scale.unplug().await;
    let fault = driver.fault().await;
    assert!(fault.contains("was disconnected: check the plug"), "{fault}");
    let fault = Running::start(&*plan).fault().await;
    assert!(fault.contains("no serial port") || fault.contains("refused"), "{fault}");

    scale.plug_in().await.unwrap();
    scale.put(9_980, 100);
    let mut driver = Running::start(&*plan);
    assert_eq!(driver.weight().await, (9_980, true));
    driver.stop().await;

    let report = plan.probe().await;
    assert!(report.ok && report.findings.iter().any(|line| line.contains("9980 kg, stable")), "{report:?}");
}

async fn tcp(indicator: impl Indicator) -> SimScale {
    SimScale::on_tcp(indicator).await.unwrap()
}

#[tokio::test]
async fn tenso_m_on_a_serial_port() {
    let scale = SimScale::on_pty(TensoM::new()).unwrap();
    a_working_day(TENSO_M, scale, "poll_ms = 50\nbaud = 19200").await;
}

#[tokio::test]
async fn tenso_m_behind_a_serial_server() {
    a_working_day(TENSO_M, tcp(TensoM::new()).await, "poll_ms = 100").await;
}

#[tokio::test]
async fn toledo_on_a_serial_port() {
    let scale = SimScale::on_pty(Toledo::default()).unwrap();
    a_working_day(TOLEDO, scale, "").await;
}

#[tokio::test]
async fn toledo_behind_a_serial_server() {
    let net = Toledo { checksum: false, tare_kg: Some(1_000), ..Toledo::default() };
    a_working_day(TOLEDO, tcp(net).await, "").await;
}

#[tokio::test]
async fn tenso_m_finds_out_whether_the_indicator_uses_a_crc() {
    for wrong_form in [WrongForm::Error, WrongForm::Silence] {
        for crc in [true, false] {
            let scale = tcp(TensoM::with(crc, wrong_form)).await;
            scale.put(12_340, 0);
            let plan = plan(TENSO_M, &scale, "");
            let mut driver = Running::start(&*plan);
            assert_eq!(driver.weight().await, (12_340, true));
            driver.stop().await;
            let report = plan.probe().await;
            let mode = if crc { "with CRC" } else { "without CRC" };
            assert!(report.findings[0].contains(mode), "{report:?}");
            let serial = format!("serial number {}", 0xFF_12_34);
            assert!(report.findings.contains(&serial), "{report:?}");
        }
    }
}

#[tokio::test]
async fn tenso_m_tells_an_error_in_plain_words_and_goes_on() {
    let scale = tcp(TensoM::failing(0x20)).await;
    let plan = plan(TENSO_M, &scale, "");
    let mut driver = Running::start(&*plan);
    assert!(driver.state(HealthState::Degraded).await.contains("must be calibrated"));
    scale.set_indicator(TensoM::new());
    driver.state(HealthState::Online).await;
    driver.stop().await;
}

#[tokio::test]
async fn an_indicator_that_falls_silent_is_a_fault() {
    let scale = tcp(TensoM::new()).await;
    assert!(!plan(TENSO_M, &scale, "device = 2").probe().await.ok, "nobody has number 2");
    let mut driver = Running::start(&*plan(TENSO_M, &scale, ""));
    driver.state(HealthState::Online).await;
    scale.mute(true);
    let fault = driver.fault().await;
    assert!(fault.contains("does not answer") && fault.contains("nothing came back"), "{fault}");

    let scale = SimScale::on_pty(Toledo::default()).unwrap();
    let mut driver = Running::start(&*plan(TOLEDO, &scale, ""));
    driver.state(HealthState::Online).await;
    scale.mute(true);
    let fault = driver.fault().await;
    assert!(fault.contains("nothing came") && fault.contains("continuous output"), "{fault}");
}

#[tokio::test]
async fn toledo_reads_seven_bits_with_parity_and_warns_of_a_scale_that_was_not_zeroed() {
    let scale = tcp(Toledo { even_parity: true, zeroed: false, ..Toledo::default() }).await;
    scale.put(18_540, 0);
    let mut driver = Running::start(&*plan(TOLEDO, &scale, "checksum = 'required'"));
    assert_eq!(driver.weight().await, (18_540, true));
    assert!(driver.state(HealthState::Degraded).await.contains("not zeroed"));
    driver.stop().await;
}
