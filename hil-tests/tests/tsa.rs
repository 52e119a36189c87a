//! The driver `radiation-portal/tsa` against a simulated portal over TCP.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

use std::time::Duration;

use hil_tests::peer::{free_port, wait_until};
use hil_tests::sim::tsa::{BackgroundFault, Profile, TsaPortal};
use interface::{
    ContextHandles, DriverContext, DriverFault, HealthState, Outgoing, Plan, Protocol, RadiationAlarm,
    Reading,
};
use radiation_portal::tsa::Tsa;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;

const LIMIT: Duration = Duration::from_secs(60);
/// Portal time runs this many times as fast: background every 100 ms, scan lines every 4 ms.
const SPEED: f64 = 50.0;

struct Running {
    readings: mpsc::Receiver<Outgoing>,
    handles: ContextHandles,
    task: JoinHandle<Result<(), DriverFault>>,
}

impl Running {
    fn start(plan: &dyn Plan) -> Self {
        let (sender, readings) = mpsc::channel(64);
        let (context, handles) = DriverContext::new("portal".into(), sender);
        Self { readings, handles, task: tokio::spawn(plan.start().run(context)) }
    }

    async fn state(&mut self, state: HealthState) -> String {
        let found = timeout(LIMIT, self.handles.state.wait_for(|(now, _)| *now == state)).await;
        found.expect("the state did not come in time").unwrap().1.clone().unwrap_or_default()
    }

    async fn next(&mut self) -> Outgoing {
        timeout(LIMIT, self.readings.recv()).await.expect("no reading in time").unwrap()
    }

    async fn occupied(&mut self) -> bool {
        let Reading::Presence { occupied } = self.next().await.reading else { panic!("expected presence") };
        occupied
    }

    async fn anomaly(&mut self) -> String {
        let Reading::Anomaly(verdict) = self.next().await.reading else { panic!("expected an anomaly") };
        verdict.label.unwrap()
    }

    async fn alarm(&mut self) -> RadiationAlarm {
        let Reading::Radiation { alarm, .. } = self.next().await.reading else {
            panic!("expected radiation")
        };
        alarm
    }

    async fn fault(self) -> String {
        timeout(LIMIT, self.task).await.expect("the driver did not end").unwrap().unwrap_err().to_string()
    }

    async fn stop(self) {
        self.handles.stop.cancel();
        assert_eq!(timeout(LIMIT, self.task).await.unwrap().unwrap(), Ok(()));
    }
}

fn plan(address: &str, more: &str) -> Box<dyn Plan> {
    Tsa.parse(toml::from_str(&format!("address = '{address}'\n{more}")).unwrap()).unwrap()
}

#[tokio::test]
async fn occupancies_arrive_with_the_portals_own_numbers() {
    let portal = TsaPortal::start_fast(SPEED, 7).await.unwrap();
    let plan = plan(portal.address(), "");
    let mut driver = Running::start(&*plan);
    driver.state(HealthState::Online).await;
    for (profile, expected) in [
        (Profile::clean(6.0), RadiationAlarm::None),
        (Profile::gamma(8.0, 40.0), RadiationAlarm::Gamma),
        (Profile { neutron_cps: 60.0, ..Profile::clean(9.0) }, RadiationAlarm::Neutron),
        (Profile { neutron_cps: 60.0, ..Profile::gamma(9.0, 60.0) }, RadiationAlarm::GammaNeutron),
    ] {
        let truth = portal.occupancy(profile).await.unwrap();
        let mut outgoing = Vec::new();
        for _ in 0..3 {
            outgoing.push(driver.next().await);
        }
        assert_eq!(outgoing[0].reading, Reading::Presence { occupied: true });
        assert_eq!(outgoing[2].reading, Reading::Presence { occupied: false });
        let Reading::Radiation { alarm, gamma_max_cps, gamma_background_cps, neutron_max_cps, duration_ms } =
            outgoing[1].reading
        else {
            panic!("{outgoing:?}")
        };
        assert_eq!((alarm, truth.alarm), (expected, expected));
        assert_eq!(gamma_max_cps, truth.gamma_max_cps.map(f64::from));
        assert_eq!(gamma_background_cps, Some(f64::from(truth.gamma_background_cps)));
        assert!(neutron_max_cps.is_some());
        assert_eq!(duration_ms, Some(truth.gamma_lines * 200));
        let evidence = String::from_utf8(outgoing[1].evidence[0].clone()).unwrap();
        assert!(evidence.starts_with("GB,") && evidence.contains(&format!("GX,{:06}", truth.number)));
        assert_eq!(
            evidence.matches("\r\nG").count() as u64,
            truth.gamma_lines + 1,
            "every gamma line and GX"
        );
    }
    driver.stop().await;
}

#[tokio::test]
async fn occupancies_missed_while_disconnected_are_reported_as_lost() {
    let portal = TsaPortal::start_fast(SPEED, 8).await.unwrap();
    let plan = plan(portal.address(), "presence = false");
    let mut driver = Running::start(&*plan);
    driver.state(HealthState::Online).await;
    portal.occupancy(Profile::clean(3.0)).await.unwrap();
    assert_eq!(driver.alarm().await, RadiationAlarm::None);
    portal.disconnect();
    assert!(driver.fault().await.contains("closed the connection"));
    portal.occupancy(Profile::clean(2.0)).await.unwrap();
    portal.occupancy(Profile::gamma(2.0, 50.0)).await.unwrap();

    let mut driver = Running::start(&*plan);
    driver.state(HealthState::Online).await;
    portal.occupancy(Profile::clean(3.0)).await.unwrap();
    assert_eq!(driver.anomaly().await, "lost radiation occupancies 2 to 3");
    assert_eq!(driver.alarm().await, RadiationAlarm::None);
    assert!(driver.state(HealthState::Degraded).await.contains("lost radiation occupancies 2 to 3"));
    portal.occupancy(Profile::clean(3.0)).await.unwrap();
    assert_eq!(driver.alarm().await, RadiationAlarm::None);
    driver.state(HealthState::Online).await;
    driver.stop().await;
}

#[tokio::test]
async fn an_alarm_survives_a_connection_cut_in_the_middle_of_the_vehicle() {
    // Real time: no background comes between the scan line and the cut.
    let portal = TsaPortal::start().await.unwrap();
    let plan = plan(portal.address(), "");
    let mut driver = Running::start(&*plan);
    wait_until("the driver to listen", LIMIT, async || portal.listeners() == 1).await.unwrap();
    portal.line(b"GB,000200,000200,000200,000200\r\n").await.unwrap();
    portal.line(b"GA,000400,000400,000400,000400\r\n").await.unwrap();
    assert!(driver.occupied().await);
    portal.disconnect();
    assert_eq!(driver.alarm().await, RadiationAlarm::Gamma);
    assert!(driver.fault().await.contains(portal.address()));
    // The next background says that the portal is free again.
    let mut driver = Running::start(&*plan);
    wait_until("the driver to listen", LIMIT, async || portal.listeners() == 1).await.unwrap();
    portal.line(b"GB,000200,000200,000200,000200\r\n").await.unwrap();
    assert!(!driver.occupied().await);
    driver.stop().await;
}

#[tokio::test]
async fn background_faults_and_tampering_show_in_health_and_readings() {
    let portal = TsaPortal::start_fast(SPEED, 10).await.unwrap();
    let plan = plan(portal.address(), "presence = false");
    let mut driver = Running::start(&*plan);
    driver.state(HealthState::Online).await;
    for (fault, text) in [
        (BackgroundFault::GammaHigh, "gamma background is too high"),
        (BackgroundFault::GammaLow, "gamma background is too low"),
        (BackgroundFault::NeutronHigh, "neutron background is too high"),
    ] {
        portal.fault(Some(fault)).await.unwrap();
        let why = driver.state(HealthState::Degraded).await;
        assert!(why.contains(text), "{why}");
        portal.occupancy(Profile::clean(3.0)).await.unwrap();
        assert_eq!(driver.alarm().await, RadiationAlarm::Fault, "{fault:?}");
        portal.fault(None).await.unwrap();
        driver.state(HealthState::Online).await;
    }
    portal.tamper(true).await.unwrap();
    let label = driver.anomaly().await;
    assert_eq!(label, "radiation portal tamper switch open (111111,111011,111111,111111)");
    assert!(driver.state(HealthState::Degraded).await.contains("tamper switch open"));
    portal.tamper(false).await.unwrap();
    driver.state(HealthState::Online).await;
    driver.stop().await;
}

#[tokio::test]
async fn bad_lines_are_skipped_and_the_stream_goes_on() {
    let portal = TsaPortal::start_fast(SPEED, 11).await.unwrap();
    let plan = plan(portal.address(), "presence = false");
    let mut driver = Running::start(&*plan);
    driver.state(HealthState::Online).await;
    let bad = b"GX,000009\r\n\r\n\"unterminated,quote\r\n\xff\x00\xfe\r\n";
    portal.line(&[&bad[..], &[b'x'; 5_000], b"\r\n"].concat()).await.unwrap();
    let truth = portal.occupancy(Profile::clean(4.0)).await.unwrap();
    assert_eq!(truth.number, 1);
    assert_eq!(driver.alarm().await, RadiationAlarm::None);
    driver.stop().await;
}

#[tokio::test]
async fn silence_is_a_fault_that_says_what_to_check() {
    let portal = TsaPortal::start_fast(SPEED, 12).await.unwrap();
    let plan = plan(portal.address(), "silence_s = 1");
    let mut driver = Running::start(&*plan);
    driver.state(HealthState::Online).await;
    portal.mute(true).await.unwrap();
    let fault = driver.fault().await;
    assert!(fault.contains("nothing from the portal") && fault.contains("check the wire"), "{fault}");
    portal.mute(false).await.unwrap();
    let mut driver = Running::start(&*plan);
    driver.state(HealthState::Online).await;
    driver.stop().await;
    wait_until("the driver to hang up", LIMIT, async || portal.listeners() == 0).await.unwrap();
}

#[tokio::test]
async fn the_probe_says_what_it_found_and_what_to_do() {
    let portal = TsaPortal::start_fast(SPEED, 13).await.unwrap();
    let report = plan(portal.address(), "").probe().await;
    assert!(report.ok, "{report:?}");
    assert!(report.findings.iter().any(|line| line.contains("gamma background")), "{report:?}");
    let report = plan(&format!("127.0.0.1:{}", free_port().unwrap()), "").probe().await;
    assert!(!report.ok && report.findings[0].contains("check that the serial server is on"), "{report:?}");
}
