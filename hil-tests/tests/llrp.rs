//! The LLRP driver against a simulated reader, against the llrpkit emulator, and against things that are no reader.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use hil_tests::peer::{Peer, free_port, python_program, wait_until};
use hil_tests::sim::llrp::LlrpReader;
use interface::{
    ContextHandles, DriverContext, DriverFault, HealthState, Outgoing, Plan, Protocol, Reading, UtcMs,
};
use rfid_reader::llrp::Llrp;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;

const LIMIT: Duration = Duration::from_secs(60);
const SGTIN: &str = "3074257BF7194E4000001A85";
const WINDSHIELD: &str = "E2000017010B016210000001";

struct Running {
    task: JoinHandle<Result<(), DriverFault>>,
    handles: ContextHandles,
    readings: mpsc::Receiver<Outgoing>,
}

fn plan(address: SocketAddr, more: &str) -> Box<dyn Plan> {
    Llrp.parse(toml::from_str(&format!("address = '{address}'\n{more}")).unwrap()).unwrap()
}

fn start(plan: &dyn Plan) -> Running {
    let (sender, readings) = mpsc::channel(64);
    let (context, handles) = DriverContext::new("rfid-1".into(), sender);
    Running { task: tokio::spawn(plan.start().run(context)), handles, readings }
}

impl Running {
    async fn reading(&mut self) -> Outgoing {
        let read = timeout(LIMIT, self.readings.recv()).await.expect("no reading in time");
        read.expect("the driver ended")
    }

    async fn tag(&mut self) -> (String, Option<f64>, Option<u16>) {
        match self.reading().await.reading {
            Reading::Tag { epc, rssi_dbm, antenna } => (epc, rssi_dbm, antenna),
            other => panic!("{other:?}"),
        }
    }

    /// Waits for a state, and gives the words that came with it.
    async fn state(&mut self, state: HealthState) -> String {
        let reached = timeout(LIMIT, self.handles.state.wait_for(|current| current.0 == state)).await;
        reached.expect("state not reached in time").expect("the driver ended").1.clone().unwrap_or_default()
    }

    async fn fault(self) -> String {
        timeout(LIMIT, self.task).await.expect("no fault in time").unwrap().unwrap_err().0
    }

    async fn stop(self) {
        self.handles.stop.cancel();
        timeout(LIMIT, self.task).await.expect("did not stop in time").unwrap().unwrap();
    }
}

#[tokio::test]
async fn tags_arrive_with_antenna_strength_and_time() {
    let begin = UtcMs::parse("2026-11-22T08:00:00Z").unwrap();
    let (reader, address) = LlrpReader::start_with_clock(Some(begin)).await.unwrap();
    let mut driver = start(&*plan(address, ""));
    driver.state(HealthState::Online).await;
    reader.show_tag(SGTIN, 2, -51).await.unwrap();

    let first = driver.reading().await;
    assert_eq!(first.sensor, "rfid-1".into());
    assert_eq!(first.reading, Reading::Tag { epc: SGTIN.into(), rssi_dbm: Some(-51.0), antenna: Some(2) });
    let at = first.device_at.unwrap();
    assert!(at >= begin && at < begin.plus_ms(60_000), "{at}");

    reader.hide_tag(SGTIN).await.unwrap();
    reader.show_tag("0102030405060708", 1, -70).await.unwrap();
    assert_eq!(driver.tag().await, ("0102030405060708".into(), Some(-70.0), Some(1)));

    driver.stop().await;
    let seen = reader.seen();
    assert_eq!(seen.goodbyes, 1);
    let set_up = [
        "GET_READER_CAPABILITIES",
        "SET_READER_CONFIG",
        "DELETE_ROSPEC",
        "GET_READER_CONFIG",
        "ADD_ROSPEC",
        "ENABLE_ROSPEC",
        "START_ROSPEC",
        "ENABLE_EVENTS_AND_REPORTS",
        "CLOSE_CONNECTION",
    ];
    assert_eq!(seen.messages, set_up);
}

#[tokio::test]
async fn a_tag_that_stays_is_repeated_once_a_second_for_each_antenna() {
    let (reader, address) = LlrpReader::start().await.unwrap();
    let mut driver = start(&*plan(address, ""));
    reader.show_tag(WINDSHIELD, 1, -50).await.unwrap();
    reader.show_tag(WINDSHIELD, 3, -60).await.unwrap();
    let first = driver.reading().await;
    assert_eq!(first.device_at, None, "a reader without a clock gives no time");
    let mut passed = BTreeMap::from([(1, vec![Instant::now()])]);
    while passed.len() < 2 || passed.values().any(|times| times.len() < 3) {
        let antenna = driver.tag().await.2.unwrap();
        passed.entry(antenna).or_insert_with(Vec::new).push(Instant::now());
    }
    let first_of_three = passed[&3][0] - passed[&1][0];
    assert!(first_of_three < Duration::from_millis(900), "{first_of_three:?}");
    for times in passed.values() {
        // The second counts from read to read; the way from there to here takes a little more or less each time.
        assert!(times.windows(2).all(|pair| pair[1] - pair[0] > Duration::from_millis(700)), "{passed:?}");
    }
    driver.stop().await;
}

#[tokio::test]
async fn weak_reads_and_unlisted_antennas_stay_out() {
    let (reader, address) = LlrpReader::start().await.unwrap();
    let mut driver = start(&*plan(address, "antennas = [1]\nrssi_floor_dbm = -60"));
    driver.state(HealthState::Online).await;
    reader.show_tag("AA00", 1, -61).await.unwrap();
    reader.show_tag("BB00", 2, -40).await.unwrap();
    reader.show_tag("CC00", 1, -60).await.unwrap();
    for _ in 0..2 {
        assert_eq!(driver.tag().await, ("CC00".into(), Some(-60.0), Some(1)));
    }
    driver.stop().await;
}

#[tokio::test]
async fn a_cut_connection_is_a_fault_and_the_next_start_works() {
    let (reader, address) = LlrpReader::start().await.unwrap();
    let plan = plan(address, "");
    let mut driver = start(&*plan);
    driver.state(HealthState::Online).await;
    reader.drop_connection().await.unwrap();
    let fault = driver.fault().await;
    assert!(fault.contains(&address.to_string()) && fault.contains("the connection"), "{fault}");

    reader.show_tag(SGTIN, 1, -51).await.unwrap();
    let mut driver = start(&*plan);
    assert_eq!(driver.tag().await.0, SGTIN);
    assert_eq!(reader.seen().connections, 2);
    driver.stop().await;
}

#[tokio::test]
async fn a_second_client_is_told_that_there_is_another() {
    let (reader, address) = LlrpReader::start().await.unwrap();
    let plan = plan(address, "");
    let mut first = start(&*plan);
    first.state(HealthState::Online).await;
    let fault = start(&*plan).fault().await;
    assert!(fault.contains("another client holds it (2)"), "{fault}");
    let report = plan.probe().await;
    assert!(!report.ok && report.findings[0].contains("another client"), "{report:?}");
    assert_eq!(reader.seen().refused, 2);
    first.stop().await;
    assert!(plan.probe().await.ok);
}

#[tokio::test]
async fn keepalives_are_answered_and_silence_is_a_fault() {
    let (reader, address) = LlrpReader::start().await.unwrap();
    let mut driver = start(&*plan(address, "keepalive_s = 1\nconnect_timeout_s = 2"));
    driver.state(HealthState::Online).await;
    wait_until("keep-alive answers", LIMIT, async || reader.seen().keepalive_acks >= 2).await.unwrap();
    reader.silence().await.unwrap();
    let begin = Instant::now();
    let fault = driver.fault().await;
    assert!(fault.contains("silent for 3 s"), "{fault}");
    let took = begin.elapsed();
    assert!(took > Duration::from_millis(1500) && took < Duration::from_secs(6), "{took:?}");
}

#[tokio::test]
async fn what_is_not_llrp_is_a_fault() {
    // Text; a length beyond reason; a length shorter than the header.
    for garbage in
        [&b"HTTP/1.1 200 OK\r\n\r\n"[..], b"\x04\x3d\xff\xff\xff\xff\0\0\0\0", b"\x04\x3d\0\0\0\x01\0\0\0\0"]
    {
        let (reader, address) = LlrpReader::start().await.unwrap();
        let mut driver = start(&*plan(address, ""));
        driver.state(HealthState::Online).await;
        reader.send_raw(garbage).await.unwrap();
        let fault = driver.fault().await;
        assert!(fault.contains("not LLRP"), "{fault}");
    }
}

#[tokio::test]
async fn damaged_reports_are_skipped_and_the_next_is_read() {
    let (reader, address) = LlrpReader::start().await.unwrap();
    let mut driver = start(&*plan(address, ""));
    driver.state(HealthState::Online).await;
    // An RO_ACCESS_REPORT whose parameter claims more bytes than there are, and one with a tag without EPC.
    reader.send_raw(b"\x04\x3d\0\0\0\x0e\0\0\0\x01\0\xf0\0\x20").await.unwrap();
    reader.send_raw(b"\x04\x3d\0\0\0\x11\0\0\0\x02\0\xf0\0\x07\x81\0\x01").await.unwrap();
    reader.show_tag(SGTIN, 1, -51).await.unwrap();
    assert_eq!(driver.tag().await.0, SGTIN);
    driver.stop().await;
}

#[tokio::test]
async fn trouble_of_the_reader_is_told_in_plain_words() {
    let (reader, address) = LlrpReader::start().await.unwrap();
    let mut driver = start(&*plan(address, ""));
    driver.state(HealthState::Online).await;
    reader.antenna_event(2, false).await.unwrap();
    let words = driver.state(HealthState::Degraded).await;
    assert!(words.starts_with("not connected: antenna 2; check the cable"), "{words}");
    reader.antenna_event(2, true).await.unwrap();
    driver.state(HealthState::Online).await;
    reader.exception("transmitter too hot").await.unwrap();
    let words = driver.state(HealthState::Degraded).await;
    assert_eq!(words, "the reader reports a fault: transmitter too hot");
    driver.stop().await;
}

#[tokio::test]
async fn an_antenna_that_the_reader_does_not_have_is_named() {
    let (_reader, address) = LlrpReader::start().await.unwrap();
    let plan = plan(address, "antennas = [1, 9]");
    let fault = start(&*plan).fault().await;
    assert!(fault.contains("has 4 antennas, but `antennas` lists 9"), "{fault}");
    let report = plan.probe().await;
    assert!(!report.ok && report.findings.last().unwrap().contains("lists 9"), "{report:?}");
}

#[tokio::test]
async fn a_probe_says_what_it_found() {
    let (reader, address) = LlrpReader::start().await.unwrap();
    let report = plan(address, "").probe().await;
    assert!(report.ok, "{report:?}");
    let expected = [
        format!("an LLRP reader answers at {address}"),
        "manufacturer Private Enterprise Number 0, model 1, firmware simulator; has no UTC clock".into(),
        "4 antenna sockets".into(),
        "region: ETSI EN 302 208, country 643 (ISO 3166-1 numeric)".into(),
        "transmit power 10 to 30 dBm".into(),
        "antennas connected: 1, 2, 3, 4".into(),
    ];
    assert_eq!(report.findings, expected);
    assert_eq!(reader.seen().goodbyes, 1);
}

#[tokio::test]
async fn what_answers_but_is_no_reader_is_named() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mute = start(&*plan(address, "connect_timeout_s = 1"));
    let (_held, _) = listener.accept().await.unwrap();
    let fault = mute.fault().await;
    assert!(fault.contains("no LLRP greeting within 1 s"), "{fault}");

    let chatty = start(&*plan(address, ""));
    let (mut stream, _) = listener.accept().await.unwrap();
    stream.write_all(b"SSH-2.0-OpenSSH_9.2\r\n").await.unwrap();
    let fault = chatty.fault().await;
    assert!(fault.contains("not LLRP"), "{fault}");

    drop(listener);
    let fault = start(&*plan(address, "")).fault().await;
    assert!(fault.contains("failed to connect"), "{fault}");
    let report = plan(address, "").probe().await;
    assert!(!report.ok && report.findings[0].contains("failed to connect"), "{report:?}");
}

#[tokio::test]
async fn stopping_while_connecting_is_no_fault() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let driver = start(&*plan(listener.local_addr().unwrap(), "connect_timeout_s = 60"));
    let (_held, _) = listener.accept().await.unwrap();
    driver.stop().await;
}

#[tokio::test]
async fn the_llrpkit_emulator_is_read() {
    let port = free_port().unwrap();
    let mut command = Command::new(python_program("llrpkit").unwrap());
    command
        .args(["emulate", "--tags", "3", "--rate", "10", "--port", &port.to_string()])
        .stdout(Stdio::null());
    let emulator = Peer::spawn(&mut command).unwrap();
    let address: SocketAddr = ([127, 0, 0, 1], port).into();
    let plan = plan(address, "keepalive_s = 1");
    wait_until("the emulator", Duration::from_secs(60), async || plan.probe().await.ok).await.unwrap();
    let findings = plan.probe().await.findings.join("\n");
    assert!(findings.contains("manufacturer Impinj, model 700, firmware llrpkit-emu"), "{findings}");

    let mut driver = start(&*plan);
    driver.state(HealthState::Online).await;
    let mut tags = BTreeSet::new();
    while tags.len() < 3 {
        let outgoing = driver.reading().await;
        assert!(outgoing.device_at.is_some());
        let Reading::Tag { epc, rssi_dbm, antenna } = outgoing.reading else { panic!("not a tag") };
        assert!((-70.0..-30.0).contains(&rssi_dbm.unwrap()));
        // The emulator puts tag n before antenna n + 1.
        let number = u16::from_str_radix(&epc[20..], 16).unwrap();
        assert_eq!(antenna, Some(number + 1));
        assert!(epc.starts_with("E2000017010B01621000"));
        tags.insert(epc);
    }
    driver.stop().await;

    let fault = {
        let mut driver = start(&*plan);
        driver.state(HealthState::Online).await;
        drop(emulator);
        driver.fault().await
    };
    assert!(fault.contains("the connection"), "{fault}");
}

#[tokio::test]
async fn the_simulated_reader_is_read_by_llrpkit() {
    let (reader, address) = LlrpReader::start().await.unwrap();
    reader.show_tag(SGTIN, 2, -51).await.unwrap();
    let mut command = tokio::process::Command::new(python_program("llrpkit").unwrap());
    let port = address.port().to_string();
    command.args(["inventory", "127.0.0.1", "--port", &port, "--count", "2", "--duration", "15"]);
    command.kill_on_drop(true);
    let output = timeout(Duration::from_secs(60), command.output()).await.unwrap().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.to_uppercase().contains(SGTIN), "{text} {}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(reader.seen().goodbyes, 1, "{:?}", reader.seen());
}
