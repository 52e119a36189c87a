//! The EGTS server, over TCP, against a simulated seal.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

use std::net::SocketAddr;
use std::time::Duration;

use hil_tests::peer::{free_port, wait_for_port, wait_until};
use hil_tests::sim::egts::SealTerminal;
use interface::{
    ContextHandles, DriverContext, DriverFault, HealthState, Outgoing, Plan, Protocol, Reading, SealState,
    SensorId, UtcMs,
};
use nav_seal::egts::Egts;
use nav_seal::egts::record::{Subrecord, TELEDATA};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;

const LIMIT: Duration = Duration::from_secs(30);
const CLOSED: u8 = 0b01;
const OPEN: u8 = 0b00;

struct Server {
    address: SocketAddr,
    plan: Box<dyn Plan>,
    readings: mpsc::Receiver<Outgoing>,
    handles: ContextHandles,
    run: JoinHandle<Result<(), DriverFault>>,
}

impl Server {
    async fn start(more: &str) -> Self {
        let port = free_port().unwrap();
        let text = format!(
            "listen = '127.0.0.1:{port}'\nallow = ['127.0.0.0/8']\ninputs = {{ shackle_closed = 0, case_open = 1 }}\n{more}"
        );
        let plan = Egts.parse(toml::from_str(&text).unwrap()).unwrap();
        let (sender, readings) = mpsc::channel(64);
        let (context, handles) = DriverContext::new(SensorId("seals".into()), sender);
        let run = tokio::spawn(plan.start().run(context));
        wait_for_port(port, LIMIT).await.unwrap();
        Self { address: ([127, 0, 0, 1], port).into(), plan, readings, handles, run }
    }

    async fn told(&mut self) -> (String, SealState) {
        let outgoing = timeout(LIMIT, self.readings.recv()).await.expect("a reading in time").unwrap();
        assert!(outgoing.device_at.is_some());
        match outgoing.reading {
            Reading::Seal { seal_id, state } => (seal_id, state),
            other => panic!("{other:?}"),
        }
    }

    /// Readings are handed over before the answer is sent: once that is here, none can follow.
    fn nothing_told(&mut self) {
        assert!(self.readings.try_recv().is_err());
    }

    async fn stop(self) {
        self.handles.stop.cancel();
        assert_eq!(timeout(LIMIT, self.run).await.unwrap().unwrap(), Ok(()));
    }
}

async fn is_closed(mut terminal: SealTerminal) -> bool {
    let error = format!("{:#}", terminal.receive().await.unwrap_err());
    error.contains("closed") || error.contains("reset")
}

#[tokio::test]
async fn a_seal_is_told_through_its_life() {
    let mut server = Server::start("repeat_s = 3600").await;
    assert_eq!(server.handles.state.borrow().0, HealthState::Online);
    let mut seal = SealTerminal::connect(server.address, 40_017).await.unwrap();
    for (inputs, cause, state) in [
        (CLOSED, 0, Some(SealState::Sealed)),
        (CLOSED, 0, None),
        (OPEN, 4, Some(SealState::Opened)),
        (CLOSED, 4, Some(SealState::Sealed)),
        (CLOSED, 12, Some(SealState::LowBattery)),
        (CLOSED, 10, Some(SealState::Tampered)),
        (CLOSED, 0, None),
    ] {
        seal.report(inputs, cause).await.unwrap();
        match state {
            Some(state) => assert_eq!(server.told().await, ("40017".into(), state)),
            None => server.nothing_told(),
        }
    }
    assert_eq!(server.handles.state.borrow().0, HealthState::Online);
    server.stop().await;
}

#[tokio::test]
async fn the_time_is_that_of_the_seal() {
    let mut server = Server::start("").await;
    let mut seal = SealTerminal::connect(server.address, 1).await.unwrap();
    seal.set_time(UtcMs::parse("2026-11-22T10:00:00Z").unwrap());
    seal.report(CLOSED, 0).await.unwrap();
    let outgoing = server.readings.recv().await.unwrap();
    assert_eq!(outgoing.device_at.unwrap().to_string(), "2026-11-22T10:00:01.000Z");
    server.stop().await;
}

#[tokio::test]
async fn packets_arrive_in_any_pieces_and_together() {
    let mut server = Server::start("repeat_s = 3600").await;
    let mut seal = SealTerminal::connect_silently(server.address, 5).await.unwrap();
    let mut bytes = Vec::new();
    for (object, inputs) in [(1, CLOSED), (2, OPEN), (3, CLOSED)] {
        let position = Subrecord::PosData(seal.position(inputs, 0));
        bytes.extend(seal.packet(TELEDATA, Some(object), &[position]).unwrap());
    }
    for byte in &bytes {
        seal.send_bytes(&[*byte]).await.unwrap();
    }
    for (packet, state) in [(1, SealState::Sealed), (2, SealState::Opened), (3, SealState::Sealed)] {
        assert_eq!(seal.receive_response().await.unwrap(), (packet, 0, vec![0]));
        assert_eq!(server.told().await, (packet.to_string(), state));
    }
    seal.send_bytes(&bytes).await.unwrap();
    for packet in 1..=3 {
        assert_eq!(
            seal.receive_response().await.unwrap(),
            (packet, 0, vec![0]),
            "repeated, and answered again"
        );
    }
    server.nothing_told();
    server.stop().await;
}

#[tokio::test]
async fn a_repeat_after_a_new_connection_is_answered_and_not_told_again() {
    let mut server = Server::start("").await;
    let mut seal = SealTerminal::connect_silently(server.address, 5).await.unwrap();
    let position = Subrecord::PosData(seal.position(OPEN, 0));
    let opened = seal.packet(TELEDATA, Some(5), &[position]).unwrap();
    seal.send_bytes(&opened).await.unwrap();
    assert_eq!(seal.receive_response().await.unwrap(), (1, 0, vec![0]));
    assert_eq!(server.told().await, ("5".into(), SealState::Opened));
    seal.report(CLOSED, 4).await.unwrap();
    assert_eq!(server.told().await, ("5".into(), SealState::Sealed));
    drop(seal);
    let mut seal = SealTerminal::connect_silently(server.address, 5).await.unwrap();
    seal.send_bytes(&opened).await.unwrap();
    assert_eq!(seal.receive_response().await.unwrap(), (1, 0, vec![0]));
    server.nothing_told();
    server.stop().await;
}

#[tokio::test]
async fn bad_data_are_answered_and_a_bad_header_ends_the_connection() {
    let mut server = Server::start("").await;
    let mut seal = SealTerminal::connect(server.address, 7).await.unwrap();
    let position = Subrecord::PosData(seal.position(CLOSED, 0));
    let good = seal.packet(TELEDATA, Some(7), &[position]).unwrap();
    let mut bad = good.clone();
    *bad.last_mut().unwrap() ^= 1;
    seal.send_bytes(&bad).await.unwrap();
    assert_eq!(seal.receive_response().await.unwrap().1, 138, "data checksum");
    server.nothing_told();

    let short = Subrecord::Other { kind: 16, data: vec![0; 10] };
    assert_eq!(seal.send(TELEDATA, Some(7), &[short]).await.unwrap(), [132], "a position that is too short");
    server.nothing_told();

    let mut bad = good.clone();
    bad[5] ^= 1;
    seal.send_bytes(&bad).await.unwrap();
    assert!(is_closed(seal).await);
    let mut stranger = SealTerminal::connect_silently(server.address, 7).await.unwrap();
    stranger.send_bytes(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    assert!(is_closed(stranger).await);

    let mut seal = SealTerminal::connect(server.address, 7).await.unwrap();
    seal.send_bytes(&good).await.unwrap();
    assert_eq!(seal.receive_response().await.unwrap().2, [0]);
    assert_eq!(server.told().await, ("7".into(), SealState::Sealed), "the server goes on");
    server.stop().await;
}

#[tokio::test]
async fn only_listed_seals_report() {
    let mut server = Server::start("seals = ['7']").await;
    let refused = SealTerminal::connect(server.address, 8).await.unwrap_err();
    assert!(refused.to_string().contains("153"), "{refused}");
    let mut platform = SealTerminal::connect_silently(server.address, 0).await.unwrap();
    for (object, result) in [(Some(8), 153), (None, 153), (Some(7), 0)] {
        let position = Subrecord::PosData(platform.position(CLOSED, 0));
        assert_eq!(platform.send(TELEDATA, object, &[position]).await.unwrap(), [result], "{object:?}");
    }
    assert_eq!(server.told().await.0, "7");
    server.stop().await;
}

#[tokio::test]
async fn connections_are_bounded_in_number_and_silence() {
    let server = Server::start("idle_s = 1\nmax_connections = 2").await;
    let mut state = server.handles.state.clone();
    // The connection with which the start was awaited may still count.
    let mut both = None;
    wait_until("two connections", LIMIT, async || {
        let one = SealTerminal::connect(server.address, 1).await;
        let two = SealTerminal::connect(server.address, 2).await;
        both = one.ok().zip(two.ok());
        both.is_some()
    })
    .await
    .unwrap();
    let third = SealTerminal::connect(server.address, 3).await;
    assert!(third.is_err(), "the third is closed at once");
    let (one, _two) = both.unwrap();
    assert!(is_closed(one).await, "silent for a second");
    let degraded = timeout(LIMIT, state.wait_for(|state| state.0 == HealthState::Degraded)).await.unwrap();
    assert!(degraded.unwrap().1.as_ref().unwrap().contains("no EGTS packet"));
    server.stop().await;
}

#[tokio::test]
async fn strangers_are_refused_and_a_taken_port_is_said() {
    let port = free_port().unwrap();
    let text = format!("listen = '127.0.0.1:{port}'\nallow = ['10.0.0.0/8']");
    let plan = Egts.parse(toml::from_str(&text).unwrap()).unwrap();
    let (sender, _readings) = mpsc::channel(1);
    let (context, handles) = DriverContext::new(SensorId("seals".into()), sender);
    let run = tokio::spawn(plan.start().run(context));
    wait_for_port(port, LIMIT).await.unwrap();
    assert!(SealTerminal::connect(([127, 0, 0, 1], port).into(), 1).await.is_err());

    let report = plan.probe().await;
    assert!(!report.ok && report.findings[0].contains("listens there already"), "{report:?}");
    handles.stop.cancel();
    run.await.unwrap().unwrap();
}

#[tokio::test]
async fn probe_says_who_came() {
    let Server { address, plan, handles, run, .. } = Server::start("").await;
    handles.stop.cancel();
    run.await.unwrap().unwrap();
    let seal = async {
        wait_for_port(address.port(), LIMIT).await.unwrap();
        let _ = SealTerminal::connect(address, 99).await;
    };
    let (report, ()) = tokio::join!(plan.probe(), seal);
    assert!(report.ok && report.findings.iter().any(|line| line.contains("terminal 99")), "{report:?}");
}
