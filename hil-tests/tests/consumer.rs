//! The reference IISPP consumer, held against mosquitto as a process.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hil_tests::broker::{Broker, Settings};
use hil_tests::certificates::Certificates;
use hil_tests::consumer::{Consumer, ConsumerConfig, Store, Summary, TlsFiles};
use hil_tests::peer::{Peer, wait_until};
use interface::{
    BootId, ClockQuality, Observation, ObservationId, PlateReading, Reading, Stamp, UtcMs, View,
};
use packet::{
    CommandResult, CommandState, DecisionCommand, Packet, Receipt, Status, StatusState, Topic, Topics,
    Unnumbered,
};
use passage::{Direction, Entry, LaneId, PassageId, PassageState, Report, StationId, Verdict};
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::Packet as Mqtt;
use rumqttc::v5::{AsyncClient, Event, MqttOptions};

const LIMIT: Duration = Duration::from_secs(60);

/// A broker with a folder of its own.
struct Rig {
    broker: Broker,
    folder: tempfile::TempDir,
}

impl Rig {
    async fn start() -> Self {
        Self::start_with(|_| Settings::default()).await
    }

    async fn start_with(settings: impl FnOnce(&Path) -> Settings) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let settings = settings(folder.path());
        let broker = Broker::start(&folder.path().join("broker"), &settings).await.unwrap();
        Self { broker, folder }
    }

    /// Kills mosquitto, which forgets every session, and starts it again on the same port.
    async fn restart(&mut self) {
        self.broker.kill();
        self.broker.start_again().await.unwrap();
    }

    fn consumer(&self, decide: Option<Verdict>) -> ConsumerConfig {
        ConsumerConfig {
            host: "127.0.0.1".into(),
            port: self.broker.port,
            tls: None,
            client_id: "iispp".into(),
            database: self.folder.path().join("iispp.sqlite"),
            decide,
        }
    }
}

/// What a box hears, and what it says.
struct TestBox {
    topics: Topics,
    client: AsyncClient,
    receipts: Arc<Mutex<Vec<Receipt>>>,
    commands: Arc<Mutex<Vec<(String, DecisionCommand)>>>,
}

impl TestBox {
    async fn connect(port: u16) -> Self {
        let topics = Topics::new("RU10702030", "gw-1").unwrap();
        let mut options = MqttOptions::new("box", "127.0.0.1", port);
        options.set_clean_start(true);
        let (client, mut events) = AsyncClient::new(options, 1000);
        let receipts: Arc<Mutex<Vec<Receipt>>> = Arc::default();
        let commands: Arc<Mutex<Vec<(String, DecisionCommand)>>> = Arc::default();
        let (subscribed, subscription) = tokio::sync::oneshot::channel();
        let mut subscribed = Some(subscribed);
        let heard = (receipts.clone(), commands.clone(), client.clone(), topics.clone());
        tokio::spawn(async move {
            let (receipts, commands, client, topics) = heard;
            loop {
                match events.poll().await {
                    Ok(Event::Incoming(Mqtt::ConnAck(_))) => {
                        client.try_subscribe(topics.receipt(), QoS::AtLeastOnce).unwrap();
                        client.try_subscribe(topics.command_filter(), QoS::AtLeastOnce).unwrap();
                    }
                    Ok(Event::Incoming(Mqtt::SubAck(_))) => drop(subscribed.take().map(|s| s.send(()))),
                    Ok(Event::Incoming(Mqtt::Publish(publish))) => {
                        match Topics::parse(std::str::from_utf8(&publish.topic).unwrap()).unwrap().1 {
                            Topic::Receipt => {
                                receipts
                                    .lock()
                                    .unwrap()
                                    .push(serde_json::from_slice(&publish.payload).unwrap());
                            }
                            Topic::Command { id, .. } => {
                                let command = serde_json::from_slice(&publish.payload).unwrap();
                                commands.lock().unwrap().push((id, command));
                            }
                            _ => panic!("{publish:?}"),
                        }
                    }
                    Ok(_) => {}
                    Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
                }
            }
        });
        subscription.await.unwrap();
        Self { topics, client, receipts, commands }
    }

    async fn say(&self, topic: String, payload: Vec<u8>) {
        self.client.publish(topic, QoS::AtLeastOnce, false, payload).await.unwrap();
    }

    async fn send(&self, seq: u64, event: &Unnumbered) {
        self.say(self.topics.topic_of(&event.header), event.bytes_with(seq)).await;
    }

    fn confirmed(&self) -> BTreeSet<String> {
        self.receipts.lock().unwrap().iter().flat_map(|receipt| receipt.ids.clone()).collect()
    }

    async fn wait_confirmed(&self, ids: &[&str]) {
        let all = async || ids.iter().all(|id| self.confirmed().contains(*id));
        wait_until(&format!("receipts for {ids:?}"), LIMIT, all).await.unwrap();
    }
}

fn stamp(ms: u64) -> Stamp {
    let utc = UtcMs(1_795_334_400_000);
    Stamp { mono_ms: 0, utc, clock: ClockQuality::Synced, boot: BootId("b1".into()) }.plus_ms(ms)
}

fn packet(passage: &str, revision: u32, state: PassageState, observation: u64) -> Packet {
    let plate = PlateReading {
        text: "A001MP05".into(),
        country: Some("RU".into()),
        confidence: 0.99,
        view: View::Front,
        candidates: Vec::new(),
    };
    let observation = Observation {
        id: ObservationId { sensor: "lpr".into(), seq: observation },
        stamp: stamp(observation),
        device_at: None,
        evidence: Vec::new(),
        reading: Reading::Plate(plate),
    };
    let entry = Entry {
        observation,
        station: StationId("entry".into()),
        doubtful: false,
        candidates: Vec::new(),
        why: "the only vehicle".into(),
        margin: None,
        alternatives: Vec::new(),
    };
    let report = Report {
        passage: PassageId(passage.into()),
        revision,
        lane: LaneId("in-1".into()),
        direction: Direction::In,
        state,
        opened: stamp(0),
        published: stamp(u64::from(revision) * 1000),
        entries: vec![entry],
        missing: Vec::new(),
        not_fitted: Vec::new(),
        views_not_fitted: Vec::new(),
        against: false,
        decision: None,
    };
    Packet::from_report("RU10702030", "gw-1", &report)
}

fn event(passage: &str, revision: u32, observation: u64) -> Unnumbered {
    Unnumbered::passage(packet(passage, revision, PassageState::Collecting, observation))
}

async fn wait_summary(consumer: &Consumer, what: &str, holds: impl Fn(&Summary) -> bool) -> Summary {
    let reached = wait_until(what, LIMIT, async || holds(&consumer.summary().await.unwrap())).await;
    let summary = consumer.summary().await.unwrap();
    reached.unwrap_or_else(|error| panic!("{error}: {summary:#?}"));
    summary
}

#[tokio::test]
async fn events_are_stored_once_confirmed_and_gaps_close() {
    let rig = Rig::start().await;
    let consumer = Consumer::start(rig.consumer(None)).unwrap();
    let mut watched = consumer.subscribe_events();
    consumer.ready().await.unwrap();
    let gate = TestBox::connect(rig.broker.port).await;
    gate.send(1, &event("p1", 1, 1)).await;
    gate.send(4, &event("p1", 2, 1)).await;
    gate.send(4, &event("p1", 2, 1)).await;
    gate.wait_confirmed(&["p1/1", "p1/2"]).await;
    let summary = wait_summary(&consumer, "a redelivery", |summary| summary.redelivered == 1).await;
    assert_eq!((summary.events, summary.passages, summary.lost, summary.repeated), (2, 1, 2, 0));
    assert_eq!((summary.missing[0].from, summary.missing[0].to), (2, 3));
    gate.send(3, &event("p2", 1, 2)).await;
    gate.send(2, &event("p3", 1, 3)).await;
    let summary = wait_summary(&consumer, "the gap to close", |summary| summary.lost == 0).await;
    assert_eq!((summary.events, summary.complete, summary.incomplete), (4, 3, 0));
    let first = watched.recv().await.unwrap();
    assert_eq!((first.id.as_str(), first.seq, first.first), ("p1/1", 1, true));
    assert_eq!(first.packet.unwrap().plate_front.value().unwrap().text, "A001MP05");
    let status = Status {
        state: StatusState::Online,
        session: None,
        boot: None,
        config_sha256: None,
        version: None,
        models: Vec::new(),
        next_seq: Some(7),
        since: None,
    };
    gate.say(gate.topics.status(), serde_json::to_vec(&status).unwrap()).await;
    let summary = wait_summary(&consumer, "what the box says it sent", |summary| summary.lost == 2).await;
    assert_eq!((summary.missing[0].from, summary.missing[0].to), (5, 6));
    consumer.stop().await.unwrap();
}

#[tokio::test]
async fn what_is_no_event_is_refused_with_a_reason() {
    let rig = Rig::start().await;
    let consumer = Consumer::start(rig.consumer(None)).unwrap();
    consumer.ready().await.unwrap();
    let gate = TestBox::connect(rig.broker.port).await;
    let good = event("p1", 1, 1);
    let topic = gate.topics.topic_of(&good.header);
    let text = String::from_utf8(good.bytes_with(1)).unwrap();
    gate.say(topic.clone(), text.replace("\"collecting\"", "\"flying\"").into_bytes()).await;
    gate.say(topic.clone(), text.replace("p1/1", "p9/1").into_bytes()).await;
    gate.say(gate.topics.passage("out-1"), text.replace("p1", "p8").into_bytes()).await;
    let other_source = text.replace("RU10702030/gw-1", "RU10702030/gw-2").replace("p1", "p7");
    gate.say(topic.clone(), other_source.into_bytes()).await;
    gate.say(topic, b"not JSON".to_vec()).await;
    let rejected = || {
        let receipts = gate.receipts.lock().unwrap();
        receipts.iter().flat_map(|receipt| receipt.rejected.clone()).collect::<Vec<_>>()
    };
    wait_until("rejections", LIMIT, async || rejected().len() == 4).await.unwrap();
    for (rejection, (id, reason)) in rejected().iter().zip([
        ("p1/1", "/data/state"),
        ("p9/1", "expected the id `p1/1`"),
        ("p8/1", "lane `in-1`"),
        ("p7/1", "expected the source `RU10702030/gw-1`"),
    ]) {
        assert!(rejection.id == id && rejection.reason.contains(reason), "{rejection:?}");
    }
    let summary = wait_summary(&consumer, "the nameless one", |summary| summary.nameless == 1).await;
    assert_eq!((summary.events, summary.refused), (0, 4));
    assert!(gate.confirmed().is_empty());
    consumer.stop().await.unwrap();
}

#[tokio::test]
async fn repeats_under_another_name_are_errors() {
    let rig = Rig::start().await;
    let consumer = Consumer::start(rig.consumer(None)).unwrap();
    consumer.ready().await.unwrap();
    let gate = TestBox::connect(rig.broker.port).await;
    gate.send(1, &event("p1", 1, 1)).await;
    gate.send(1, &event("p2", 1, 2)).await; // one number, two events
    gate.send(2, &event("p3", 1, 1)).await; // the observation of p1
    gate.send(3, &event("p4", 1, 4)).await;
    gate.send(4, &event("p4", 1, 4)).await; // one event, two numbers: another content, too
    let summary = wait_summary(&consumer, "repeats", |summary| summary.repeated == 4).await;
    let problems = summary.problems.join("\n");
    for expected in ["number 1 stands for p1/1 and p2/1", "observation lpr/1 stands in", "another content"] {
        assert!(problems.contains(expected), "{problems}");
    }
    consumer.stop().await.unwrap();
}

#[tokio::test]
async fn a_passage_is_decided_once_also_after_a_restart() {
    let rig = Rig::start().await;
    let config = rig.consumer(Some(Verdict::Inspect));
    let consumer = Consumer::start(config.clone()).unwrap();
    consumer.ready().await.unwrap();
    let gate = TestBox::connect(rig.broker.port).await;
    let waiting = |revision| Unnumbered::passage(packet("p1", revision, PassageState::AwaitingDecision, 1));
    gate.send(1, &event("p1", 1, 1)).await;
    gate.send(2, &waiting(2)).await;
    wait_until("the decision", LIMIT, async || !gate.commands.lock().unwrap().is_empty()).await.unwrap();
    let (id, command) = gate.commands.lock().unwrap()[0].clone();
    assert_eq!(id, "decision-p1-1");
    assert_eq!((command.decision, command.valid_ms), (Verdict::Inspect, 10_000));
    let result = CommandResult { id: id.clone(), state: CommandState::Done, detail: None };
    let topic = gate.topics.command_result("decision", &id);
    gate.say(topic, serde_json::to_vec(&result).unwrap()).await;
    gate.send(3, &waiting(3)).await;
    wait_summary(&consumer, "the result", |summary| summary.decisions_done == 1).await;
    consumer.stop().await.unwrap();
    let consumer = Consumer::start(config).unwrap();
    consumer.ready().await.unwrap();
    gate.send(4, &waiting(4)).await;
    gate.wait_confirmed(&["p1/3", "p1/4"]).await;
    assert_eq!(consumer.summary().await.unwrap().decisions, 1);
    assert_eq!(gate.commands.lock().unwrap().len(), 1);
    consumer.stop().await.unwrap();
}

#[tokio::test]
async fn events_sent_while_the_consumer_is_away_wait_in_its_session() {
    let rig = Rig::start().await;
    let consumer = Consumer::start(rig.consumer(None)).unwrap();
    consumer.ready().await.unwrap();
    consumer.stop().await.unwrap();
    let gate = TestBox::connect(rig.broker.port).await;
    gate.send(1, &event("p1", 1, 1)).await;
    let consumer = Consumer::start(rig.consumer(None)).unwrap();
    gate.wait_confirmed(&["p1/1"]).await;
    consumer.stop().await.unwrap();
}

#[tokio::test]
async fn a_broker_that_forgot_everything_costs_nothing() {
    let mut rig = Rig::start().await;
    let consumer = Consumer::start(rig.consumer(None)).unwrap();
    consumer.ready().await.unwrap();
    let gate = TestBox::connect(rig.broker.port).await;
    for seq in 1..=3 {
        gate.send(seq, &event(&format!("p{seq}"), 1, seq)).await;
    }
    gate.wait_confirmed(&["p1/1", "p2/1", "p3/1"]).await;
    drop(gate);
    rig.restart().await;
    // The box may connect after the consumer has spoken: it repeats what it has no receipt for.
    let gate = TestBox::connect(rig.broker.port).await;
    consumer.ready().await.unwrap();
    for seq in 1..=5 {
        let event = event(&format!("p{seq}"), 1, seq);
        let confirmed = async || {
            gate.send(seq, &event).await;
            gate.confirmed().contains(event.id())
        };
        wait_until("a repeat to be confirmed", LIMIT, confirmed).await.unwrap();
    }
    let summary = consumer.summary().await.unwrap();
    assert_eq!((summary.events, summary.lost, summary.repeated), (5, 0, 0));
    // Each time the consumer connects it says how far it has stored without a gap.
    let upto = || gate.receipts.lock().unwrap().iter().any(|receipt| receipt.upto_seq == Some(5));
    let said = async || {
        let connected = consumer.ready().await.is_ok();
        rig.restart().await;
        wait_until("the box", Duration::from_secs(2), async || upto()).await.is_ok() && connected
    };
    wait_until("what is stored to be said again", LIMIT, said).await.unwrap();
    consumer.stop().await.unwrap();
}

#[tokio::test]
async fn a_client_certificate_is_asked_for_and_given() {
    let mut party = None;
    let rig = Rig::start_with(|folder| {
        let certificates = Certificates::new(folder).unwrap();
        party = Some(certificates.client("iispp").unwrap());
        Settings { tls: Some(certificates.broker()), ..Settings::default() }
    })
    .await;
    let party = party.unwrap();
    let mut config = rig.consumer(None);
    let plain = Consumer::start(config.clone()).unwrap();
    assert!(tokio::time::timeout(Duration::from_secs(1), plain.ready()).await.is_err());
    plain.stop().await.unwrap();
    config.tls = Some(TlsFiles { ca: party.ca, cert: party.certificate, key: party.key });
    let consumer = Consumer::start(config).unwrap();
    tokio::time::timeout(LIMIT, consumer.ready()).await.unwrap().unwrap();
    consumer.stop().await.unwrap();
}

/// The program is killed again and again while a box sends: nothing confirmed is missing from its database.
#[tokio::test]
async fn a_killed_consumer_has_stored_all_it_confirmed() {
    const EVENTS: u64 = 300;
    let rig = Rig::start().await;
    let database = rig.folder.path().join("iispp.sqlite");
    let program = env!("CARGO_BIN_EXE_iispp-consumer");
    let start = || {
        let mut command = Command::new(program);
        command.args([
            "run",
            "--host",
            "127.0.0.1",
            "--port",
            &rig.broker.port.to_string(),
            "--decide",
            "release",
        ]);
        command.arg("--database").arg(&database).env("RUST_LOG", "off");
        Peer::spawn(&mut command).unwrap()
    };
    let gate = TestBox::connect(rig.broker.port).await;
    let mut consumer = start();
    let events: Vec<Unnumbered> = (1..=EVENTS).map(|n| event(&format!("p{n:03}"), 1, n)).collect();
    let mut kills = 0;
    let end = std::time::Instant::now() + 3 * LIMIT;
    loop {
        let confirmed = gate.confirmed();
        let open = (1..).zip(&events).filter(|(_, event)| !confirmed.contains(event.id()));
        let open: Vec<_> = open.take(20).collect();
        if open.is_empty() {
            break;
        }
        for (seq, event) in open {
            gate.send(seq, event).await;
        }
        // Three kills at different depths of the stream.
        if kills < 3 && confirmed.len() as u64 > (kills + 1) * EVENTS / 5 {
            kills += 1;
            consumer.0.kill().unwrap();
            consumer.0.wait().unwrap();
            let stored: BTreeSet<String> = stored_ids(&database);
            let missing: Vec<_> = gate.confirmed().difference(&stored).cloned().collect();
            assert!(missing.is_empty(), "confirmed and not stored: {missing:?}");
            consumer = start();
        }
        assert!(std::time::Instant::now() < end, "{} of {EVENTS} confirmed", confirmed.len());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(kills, 3);
    let terminated = Command::new("kill").arg(consumer.0.id().to_string()).status().unwrap();
    assert!(terminated.success() && consumer.0.wait().unwrap().success(), "a clean end on SIGTERM");
    let report = Command::new(program).arg("report").arg("--json").arg("--database").arg(&database).output();
    let report: serde_json::Value = serde_json::from_slice(&report.unwrap().stdout).unwrap();
    for (field, expected) in [("events", EVENTS), ("passages", EVENTS), ("lost", 0), ("repeated", 0)] {
        assert_eq!(report["summary"][field], expected, "{field}");
    }
    assert_eq!(report["passages"].as_array().unwrap().len() as u64, EVENTS);
    let table = Command::new(program).arg("report").arg("--database").arg(&database).output().unwrap();
    assert!(String::from_utf8(table.stdout).unwrap().contains("events stored        300"));
}

fn stored_ids(database: &Path) -> BTreeSet<String> {
    // Opened for writing, as the next start does: the log of the killed writer is taken over.
    let store = Store::open(database).unwrap();
    let report = store.report().unwrap();
    let id = |line: &hil_tests::consumer::PassageLine| {
        format!("{}/{}", line.packet.passage_id, line.packet.revision)
    };
    report.passages.iter().map(id).collect()
}
