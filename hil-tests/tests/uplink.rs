//! The uplink against mosquitto as a process, with a receiver that sends receipts.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use edge_agent::uplink::{Board, Incoming, Link, Retained, Tls, Uplink, UplinkConfig, UplinkState};
use hil_tests::broker::{Broker, Settings, checkpoint_access};
use hil_tests::certificates::{Certificates, Party};
use hil_tests::peer::wait_until;
use hil_tests::proxy::Proxy;
use interface::{BootId, ClockQuality, Stamp, UtcMs};
use outbox::{Limits, New, Outbox};
use packet::{
    Class, CommandResult, CommandState, EventHeader, Receipt, Rejection, Status, StatusState, Topic, Topics,
};
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::Packet;
use rumqttc::v5::{AsyncClient, Event, EventLoop, MqttOptions};
use rumqttc::{TlsConfiguration, Transport};
use serde_json::json;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

const LIMIT: Duration = Duration::from_secs(60);
/// Of the box's clock when a test begins.
const START: &str = "2026-11-22T08:00:00Z";

fn topics() -> Topics {
    Topics::new("RU1", "gw-1").unwrap()
}

/// A box's uplink under test, and the shell's ends of it.
struct EdgeBox {
    outbox: Arc<Outbox>,
    wake: watch::Sender<u64>,
    board: watch::Sender<Board>,
    incoming: mpsc::Receiver<Incoming>,
    results: mpsc::Sender<CommandResult>,
    state: watch::Receiver<UplinkState>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

#[derive(Clone)]
struct Setup {
    port: u16,
    tls: Option<Party>,
    window: u16,
    receipt_timeout_ms: u64,
}

impl Setup {
    fn plain(port: u16) -> Self {
        Self { port, tls: None, window: 100, receipt_timeout_ms: 1_000 }
    }
}

impl EdgeBox {
    fn start(folder: &Path, setup: &Setup) -> Self {
        let outbox = Arc::new(Outbox::open(folder.join("outbox"), Limits::default()).unwrap());
        let (wake, wake_receiver) = watch::channel(0);
        let (board, board_receiver) = watch::channel(Board::default());
        let (incoming_sender, incoming) = mpsc::channel(8);
        let (results, results_receiver) = mpsc::channel(8);
        let (state_sender, state) = watch::channel(UplinkState::default());
        let stop = CancellationToken::new();
        let began = Instant::now();
        let clock = move || {
            let elapsed = u64::try_from(began.elapsed().as_millis()).unwrap();
            let boot = BootId("boot-1".into());
            let start = Stamp {
                mono_ms: 5_000,
                utc: UtcMs::parse(START).unwrap(),
                clock: ClockQuality::Synced,
                boot,
            };
            start.plus_ms(elapsed)
        };
        let read = |path: &Path| std::fs::read(path).unwrap();
        let config = UplinkConfig {
            host: "127.0.0.1".into(),
            port: setup.port,
            tls: setup.tls.as_ref().map(|party| Tls {
                ca_pem: read(&party.ca),
                cert_pem: read(&party.certificate),
                key_pem: read(&party.key),
            }),
            client_id: "gw-1".into(),
            topics: topics(),
            keep_alive_s: 5,
            window: setup.window,
            receipt_timeout_ms: setup.receipt_timeout_ms,
            status: Status {
                state: StatusState::Online,
                session: None,
                boot: Some("boot-1".into()),
                config_sha256: Some("00".repeat(32)),
                version: Some("0.1.0".into()),
                models: vec![],
                next_seq: None,
                since: None,
            },
        };
        let uplink = Uplink {
            config,
            outbox: outbox.clone(),
            clock: Arc::new(clock),
            wake: wake_receiver,
            board: board_receiver,
            incoming: incoming_sender,
            results: results_receiver,
            state: state_sender,
            stop: stop.clone(),
        };
        let task = tokio::spawn(async move { uplink.run().await.unwrap() });
        Self { outbox, wake, board, incoming, results, state, stop, task }
    }

    fn append(&self, ids: impl IntoIterator<Item = u64>) {
        self.append_sized(ids, 200, Class::Passage);
    }

    fn append_sized(&self, ids: impl IntoIterator<Item = u64>, size: usize, class: Class) {
        let new = ids.into_iter().map(|number| {
            let id = format!("p{number}/1");
            let header = EventHeader { id: id.clone(), class, lane: Some("in-1".into()) };
            let build = {
                let id = id.clone();
                move |seq| {
                    serde_json::to_vec(&json!({"id": id, "seq": seq, "filler": "x".repeat(size)})).unwrap()
                }
            };
            let header = serde_json::to_string(&header).unwrap();
            New { id, class: class.priority(), header, build: Box::new(build) }
        });
        self.outbox.append_batch(new.collect()).unwrap();
        self.wake.send_modify(|appends| *appends += 1);
    }

    async fn wait_for(&self, what: &str, condition: impl Fn(&UplinkState) -> bool) -> UplinkState {
        let mut state = self.state.clone();
        let waited = tokio::time::timeout(LIMIT, state.wait_for(|state| condition(state))).await;
        let found = waited.map(|found| found.unwrap().clone());
        found.unwrap_or_else(|_| panic!("no {what}: {:?}", self.state.borrow()))
    }

    async fn wait_until_empty(&self) {
        let what = format!("an empty outbox, {:?}", self.state.borrow().clone());
        wait_until(&what, LIMIT, async || self.outbox.is_empty()).await.unwrap();
    }

    /// Ends it in good order.
    async fn stop(self) {
        self.stop.cancel();
        tokio::time::timeout(LIMIT, self.task).await.unwrap().unwrap();
    }

    /// Ends it as kill -9 would, as far as that is possible within one process.
    async fn kill(self) {
        self.task.abort();
        let _ = self.task.await;
        // Whatever still works on the outbox ends.
        let outbox = self.outbox;
        wait_until("the outbox to be let go", LIMIT, async || Arc::strong_count(&outbox) == 1).await.unwrap();
    }
}

/// What the receiver has seen.
#[derive(Default)]
struct Seen {
    /// Id and number of deliveries by `seq`.
    events: BTreeMap<u64, (String, u64)>,
    /// Ids in the order of their first delivery.
    order: Vec<String>,
    receipted: HashSet<String>,
    latest: HashMap<String, Vec<serde_json::Value>>,
}

/// A small IISPP: stores in memory, and sends receipts while `receipts` is true.
struct Receiver {
    seen: Arc<Mutex<Seen>>,
    receipts: watch::Sender<bool>,
    client: watch::Receiver<Option<AsyncClient>>,
    task: JoinHandle<()>,
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn connect(port: u16, id: &str, tls: Option<&Party>) -> (AsyncClient, EventLoop) {
    let mut options = MqttOptions::new(id, "127.0.0.1", port);
    options.set_keep_alive(Duration::from_secs(5));
    options.set_clean_start(true);
    options.set_max_packet_size(Some(1 << 20));
    if let Some(party) = tls {
        options.set_transport(Transport::tls_with_config(TlsConfiguration::Simple {
            ca: std::fs::read(&party.ca).unwrap(),
            alpn: None,
            client_auth: Some((
                std::fs::read(&party.certificate).unwrap(),
                std::fs::read(&party.key).unwrap(),
            )),
        }));
    }
    AsyncClient::new(options, 10_000)
}

impl Receiver {
    async fn start(port: u16, tls: Option<Party>, receipts: bool) -> Self {
        Self::named("iispp", port, tls, receipts, |_| None).await
    }

    async fn named(
        name: &'static str,
        port: u16,
        tls: Option<Party>,
        receipts: bool,
        reject: impl Fn(&str) -> Option<String> + Send + 'static,
    ) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let seen = Arc::new(Mutex::new(Seen::default()));
        let receipts = watch::Sender::new(receipts);
        let (client_sender, client) = watch::channel(None);
        let task = tokio::spawn({
            let (seen, receipts) = (seen.clone(), receipts.subscribe());
            async move {
                loop {
                    let (client, mut events) = connect(port, name, tls.as_ref());
                    client.try_subscribe("ckpt/v1/#", QoS::AtLeastOnce).unwrap();
                    while let Ok(event) = events.poll().await {
                        match event {
                            Event::Incoming(Packet::SubAck(_)) => {
                                client_sender.send_replace(Some(client.clone()));
                            }
                            Event::Incoming(Packet::Publish(publish)) => {
                                let topic = String::from_utf8(publish.topic.to_vec()).unwrap();
                                take(&topic, &publish.payload, &seen, *receipts.borrow(), &client, &reject);
                            }
                            _ => {}
                        }
                    }
                    client_sender.send_replace(None);
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        });
        let receiver = Self { seen, receipts, client, task };
        receiver.client.clone().wait_for(Option::is_some).await.unwrap();
        receiver
    }

    fn count(&self) -> usize {
        self.seen.lock().unwrap().events.len()
    }

    async fn wait_for_count(&self, count: usize) {
        let what = format!("{count} events, {} came", self.count());
        wait_until(&what, LIMIT, async || self.count() >= count).await.unwrap();
    }

    /// Waits for a message on `topic` that meets `condition`.
    async fn wait_for(
        &self,
        topic: &str,
        condition: impl Fn(&serde_json::Value) -> bool,
    ) -> serde_json::Value {
        let found = || self.on(topic).into_iter().rev().find(|value| condition(value));
        let waited = wait_until(topic, LIMIT, async || found().is_some()).await;
        waited.unwrap_or_else(|error| panic!("{error}: {:?}", self.on(topic)));
        found().unwrap()
    }

    fn on(&self, topic: &str) -> Vec<serde_json::Value> {
        self.seen.lock().unwrap().latest.get(topic).cloned().unwrap_or_default()
    }

    fn publish(&self, topic: &str, payload: &serde_json::Value) {
        let client = self.client.borrow().clone().expect("connected");
        client.try_publish(topic, QoS::AtLeastOnce, false, payload.to_string()).unwrap();
    }

    /// Every event up to `last` came, and each `seq` belongs to one id.
    fn assert_complete(&self, last: u64) {
        let seen = self.seen.lock().unwrap();
        let seqs: Vec<u64> = seen.events.keys().copied().collect();
        assert_eq!(seqs, (1..=last).collect::<Vec<_>>());
        for (seq, (id, _)) in &seen.events {
            assert_eq!(*id, format!("p{seq}/1"));
        }
    }
}

fn take(
    topic: &str,
    payload: &[u8],
    seen: &Mutex<Seen>,
    receipts: bool,
    client: &AsyncClient,
    reject: &impl Fn(&str) -> Option<String>,
) {
    let value: serde_json::Value = serde_json::from_slice(payload).unwrap();
    let mut seen = seen.lock().unwrap();
    let Some((_, Topic::Passage(_) | Topic::Alarm)) = Topics::parse(topic) else {
        seen.latest.entry(topic.to_owned()).or_default().push(value);
        return;
    };
    let (id, seq) = (value["id"].as_str().unwrap().to_owned(), value["seq"].as_u64().unwrap());
    if !seen.events.contains_key(&seq) {
        seen.order.push(id.clone());
    }
    let entry = seen.events.entry(seq).or_insert_with(|| (id.clone(), 0));
    assert_eq!(entry.0, id, "seq {seq} has two ids");
    entry.1 += 1;
    if !receipts {
        return;
    }
    let receipt = match reject(&id) {
        Some(reason) => Receipt { rejected: vec![Rejection { id, reason }], ..Receipt::default() },
        None => {
            seen.receipted.insert(id.clone());
            Receipt { ids: vec![id], ..Receipt::default() }
        }
    };
    let payload = serde_json::to_vec(&receipt).unwrap();
    client.try_publish(topics().receipt(), QoS::AtLeastOnce, false, payload).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_when_the_connection_is_cut_twenty_times() {
    let folder = tempfile::tempdir().unwrap();
    let broker = Broker::start(&folder.path().join("broker"), &Settings::default()).await.unwrap();
    let proxy = Proxy::start(broker.port).await.unwrap();
    let receiver = Receiver::start(broker.port, None, true).await;
    let edge = EdgeBox::start(folder.path(), &Setup::plain(proxy.port));
    for round in 0..20 {
        edge.append(round * 100 + 1..=round * 100 + 100);
        receiver.wait_for_count(usize::try_from(round * 100 + 20).unwrap()).await;
        let removed = (round + 1) * 100 - edge.outbox.len();
        let receipted = receiver.seen.lock().unwrap().receipted.len();
        assert!(removed <= u64::try_from(receipted).unwrap(), "{removed} removed, {receipted} receipted");
        proxy.cut();
    }
    edge.wait_until_empty().await;
    receiver.assert_complete(2_000);
    let state = edge.state.borrow().clone();
    assert!(proxy.connections() >= 20 && state.connections >= 20, "{state:?}");
    assert_eq!((state.receipted, state.rejected, edge.outbox.dead_len()), (2_000, 0, 0));
    assert_eq!(edge.outbox.verify().unwrap().problems, Vec::<String>::new());
    edge.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_when_the_broker_is_killed_and_forgets_its_sessions() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings { persistence: true, ..Settings::default() };
    let mut broker = Broker::start(&folder.path().join("broker"), &settings).await.unwrap();
    let receiver = Receiver::start(broker.port, None, true).await;
    let edge = EdgeBox::start(folder.path(), &Setup::plain(broker.port));
    for round in 0..3 {
        edge.append(round * 300 + 1..=round * 300 + 200);
        receiver.wait_for_count(usize::try_from(round * 300 + 50).unwrap()).await;
        broker.kill();
        broker.forget().unwrap();
        edge.append(round * 300 + 201..=round * 300 + 300);
        edge.wait_for("loss of the connection", |state| state.link != Link::Online).await;
        broker.start_again().await.unwrap();
    }
    edge.wait_until_empty().await;
    receiver.assert_complete(900);
    edge.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_acknowledgement_by_the_broker_removes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let broker = Broker::start(&folder.path().join("broker"), &Settings::default()).await.unwrap();
    let receiver = Receiver::start(broker.port, None, false).await;
    let edge = EdgeBox::start(folder.path(), &Setup::plain(broker.port));
    edge.append(1..=300);
    receiver.wait_for_count(300).await;
    edge.wait_for("acknowledgements", |state| state.sent >= 300).await;
    assert_eq!(edge.outbox.len(), 300);
    // Receipts begin; what was sent before is sent again after the time-out.
    receiver.receipts.send_replace(true);
    edge.wait_until_empty().await;
    receiver.assert_complete(300);
    assert!(receiver.seen.lock().unwrap().events.values().all(|(_, times)| *times >= 2));

    // A receipt for what was never sent is a fault, and removes nothing.
    receiver.receipts.send_replace(false);
    edge.append(301..=302);
    receiver.wait_for_count(302).await;
    receiver.publish(&topics().receipt(), &json!({"upto_seq": 9_999}));
    let state = edge.wait_for("a fault", |state| !state.faults.is_empty()).await;
    assert!(state.faults[&topics().receipt()].contains("9999"), "{state:?}");
    receiver.publish(&topics().receipt(), &json!({"upto_seq": 301, "ids": ["never heard of"]}));
    wait_until("one left", LIMIT, async || edge.outbox.len() == 1).await.unwrap();
    edge.wait_for("no fault", |state| state.faults.is_empty()).await;
    edge.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_iispp_rejects_goes_to_the_dead_letters_and_alarms_go_first() {
    let folder = tempfile::tempdir().unwrap();
    let broker = Broker::start(&folder.path().join("broker"), &Settings::default()).await.unwrap();
    let reject = |id: &str| (id == "p2/1").then(|| "no such lane".to_owned());
    let receiver = Receiver::named("iispp", broker.port, None, true, reject).await;
    let proxy = Proxy::start(broker.port).await.unwrap();
    proxy.close();
    let edge = EdgeBox::start(folder.path(), &Setup { window: 1, ..Setup::plain(proxy.port) });
    edge.append(1..=3);
    edge.append_sized([4], 10, Class::Alarm);
    edge.wait_for("an attempt that fails", |state| state.error.is_some()).await;
    proxy.open();
    edge.wait_until_empty().await;
    let dead = edge.outbox.dead_letters(0, 10).unwrap();
    assert_eq!((dead.len(), dead[0].event.id.as_str(), dead[0].reason.as_str()), (1, "p2/1", "no such lane"));
    assert_eq!(edge.state.borrow().rejected, 1);
    assert_eq!(receiver.seen.lock().unwrap().order, ["p4/1", "p1/1", "p2/1", "p3/1"]);
    edge.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_rights_are_reported_and_nothing_is_removed() {
    let folder = tempfile::tempdir().unwrap();
    let certificates = Certificates::new(&folder.path().join("certificates")).unwrap();
    let full = checkpoint_access("RU1", &["gw-1"], "iispp");
    let without_lanes = full.replace("topic write ckpt/v1/RU1/gw-1/lane/#\n", "");
    assert_ne!(full, without_lanes);
    let settings =
        Settings { tls: Some(certificates.broker()), access: Some(without_lanes), ..Settings::default() };
    let broker = Broker::start(&folder.path().join("broker"), &settings).await.unwrap();
    let receiver = Receiver::start(broker.port, Some(certificates.client("iispp").unwrap()), true).await;
    let tls = Some(certificates.client("gw-1").unwrap());
    let edge = EdgeBox::start(folder.path(), &Setup { tls, ..Setup::plain(broker.port) });
    edge.append(1..=3);
    edge.append_sized([4], 10, Class::Alarm);
    let topic = topics().passage("in-1");
    let state = edge.wait_for("a fault", |state| state.faults.contains_key(&topic)).await;
    assert!(state.faults[&topic].contains("NotAuthorized"), "{state:?}");
    // The alarm's topic is allowed, and goes on.
    wait_until("three left", LIMIT, async || edge.outbox.len() == 3).await.unwrap();
    assert_eq!(edge.outbox.dead_len(), 0);
    broker.set_access(&full).unwrap();
    edge.wait_until_empty().await;
    edge.wait_for("no fault", |state| state.faults.is_empty()).await;
    receiver.assert_complete(4);
    edge.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_beyond_the_brokers_packet_size_becomes_a_dead_letter() {
    let too_large = [
        Settings { max_packet_size: Some(20_000), ..Settings::default() },
        // Here the broker says nothing beforehand; it refuses when the packet comes.
        Settings { message_size_limit: Some(20_000), ..Settings::default() },
    ];
    for settings in too_large {
        let folder = tempfile::tempdir().unwrap();
        let broker = Broker::start(&folder.path().join("broker"), &settings).await.unwrap();
        let receiver = Receiver::start(broker.port, None, true).await;
        let edge = EdgeBox::start(folder.path(), &Setup::plain(broker.port));
        edge.append([1]);
        edge.append_sized([2], 50_000, Class::Passage);
        edge.append(3..=60);
        edge.wait_until_empty().await;
        let dead = edge.outbox.dead_letters(0, 10).unwrap();
        let ids: Vec<_> = dead.iter().map(|dead| dead.event.id.as_str()).collect();
        assert_eq!(ids, ["p2/1"], "{settings:?}");
        assert_eq!(receiver.count(), 59);
        assert_eq!(edge.outbox.verify().unwrap().problems, Vec::<String>::new());
        edge.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn birth_will_farewell_and_health_are_seen() {
    let folder = tempfile::tempdir().unwrap();
    let broker = Broker::start(&folder.path().join("broker"), &Settings::default()).await.unwrap();
    let proxy = Proxy::start(broker.port).await.unwrap();
    let receiver = Receiver::start(broker.port, None, true).await;
    let edge = EdgeBox::start(folder.path(), &Setup::plain(proxy.port));
    let health = topics().health("lpr-1");
    edge.board.send_modify(|board| {
        let message = Retained { payload: br#"{"state":"online"}"#.to_vec(), expiry_s: Some(180) };
        Arc::make_mut(board).insert(health.clone(), message);
    });
    let status = topics().status();
    let birth = receiver.wait_for(&status, |value| value["state"] == "online").await;
    assert_eq!((&birth["boot"], &birth["next_seq"]), (&json!("boot-1"), &json!(1)));
    assert!(birth["session"].is_string() && birth["since"].is_string() && birth["config_sha256"].is_string());
    receiver.wait_for(&health, |value| value["state"] == "online").await;
    edge.board.send_modify(|board| {
        let message = Retained { payload: br#"{"state":"offline"}"#.to_vec(), expiry_s: Some(180) };
        Arc::make_mut(board).insert(health.clone(), message);
    });
    receiver.wait_for(&health, |value| value["state"] == "offline").await;
    proxy.close();
    let will = receiver.wait_for(&status, |value| value["state"] == "lost").await;
    assert_eq!(will["session"], birth["session"]);
    proxy.open();
    let again = receiver
        .wait_for(&status, |value| value["state"] == "online" && value["session"] != birth["session"])
        .await;
    assert_ne!(again["session"], birth["session"]);
    edge.stop().await;
    receiver.wait_for(&status, |value| value["state"] == "stopped").await;
    // The farewell is the last word, and it is retained: a newcomer hears it.
    let newcomer = Receiver::named("late", broker.port, None, false, |_| None).await;
    let heard = newcomer.wait_for(&status, |_| true).await;
    assert_eq!(heard["state"], "stopped");
}

fn decision(issued_at: &str, valid_ms: u64) -> serde_json::Value {
    json!({"passage_id": "p1", "decision": "release", "issued_at": issued_at, "valid_ms": valid_ms})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_decision_is_carried_out_once_whatever_is_repeated_or_restarted() {
    let folder = tempfile::tempdir().unwrap();
    let broker = Broker::start(&folder.path().join("broker"), &Settings::default()).await.unwrap();
    let receiver = Receiver::start(broker.port, None, true).await;
    let mut edge = EdgeBox::start(folder.path(), &Setup::plain(broker.port));
    edge.wait_for("a connection", |state| state.link == Link::Online).await;
    receiver.wait_for(&topics().status(), |value| value["state"] == "online").await;
    let (c1, c2) = (topics().command("decision", "c1"), topics().command("decision", "c2"));
    let result = |id: &str| topics().command_result("decision", id);

    // An hour off, so that its time-out cannot be by chance.
    receiver.publish(&c1, &decision("2026-11-22T09:00:00Z", 10_000));
    receiver.publish(&c1, &decision("2026-11-22T09:00:00Z", 10_000));
    let Incoming::Decision { id, command, received, deadline_mono_ms } = edge.incoming.recv().await.unwrap();
    assert_eq!((id.as_str(), command.passage_id.as_str()), ("c1", "p1"));
    assert_eq!(deadline_mono_ms, received.mono_ms + 10_000);
    receiver.wait_for(&result("c1"), |value| value["state"] == "executing").await;
    let done = CommandResult { id, state: CommandState::Done, detail: Some("barrier opened".into()) };
    edge.results.send(done).await.unwrap();
    let seen = receiver.wait_for(&result("c1"), |value| value["state"] == "done").await;
    assert_eq!(seen["detail"], "barrier opened");

    // What comes too late is not carried out.
    receiver.publish(&topics().command("decision", "late"), &decision("2026-11-22T07:59:00Z", 5_000));
    receiver.wait_for(&result("late"), |value| value["state"] == "expired").await;
    // Nor what cannot be read, or is not known here.
    receiver.publish(&topics().command("decision", "odd"), &json!({"decision": "release"}));
    receiver.wait_for(&result("odd"), |value| value["state"] == "failed").await;
    receiver.publish(&topics().command("probe", "x"), &json!({}));
    let refused = receiver.wait_for(&topics().command_result("probe", "x"), |_| true).await;
    assert_eq!(refused["detail"], "unsupported command type `probe`, supported: decision");

    // One is under way when the daemon dies.
    receiver.publish(&c2, &decision("2026-11-22T09:00:00Z", 10_000));
    let Incoming::Decision { id, .. } = edge.incoming.recv().await.unwrap();
    assert_eq!(id, "c2", "nothing but c1 and c2 was handed over");
    edge.kill().await;

    let mut edge = EdgeBox::start(folder.path(), &Setup::plain(broker.port));
    let interrupted = receiver.wait_for(&result("c2"), |value| value["state"] == "failed").await;
    assert_eq!(interrupted["detail"], "interrupted by restart");
    let before = receiver.on(&result("c1")).len();
    receiver.publish(&c1, &decision("2026-11-22T09:00:00Z", 10_000));
    receiver.publish(&c2, &decision("2026-11-22T09:00:00Z", 10_000));
    wait_until("the answer to a repeat", LIMIT, async || receiver.on(&result("c1")).len() > before)
        .await
        .unwrap();
    assert_eq!(receiver.on(&result("c1")).last().unwrap()["state"], "done");
    // A new one comes through, and nothing before it.
    receiver.publish(&topics().command("decision", "c3"), &decision("2026-11-22T09:00:00Z", 10_000));
    let Incoming::Decision { id, .. } = edge.incoming.recv().await.unwrap();
    assert_eq!(id, "c3");
    edge.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_broker_refuses_who_has_no_certificate_or_a_strangers() {
    let folder = tempfile::tempdir().unwrap();
    let certificates = Certificates::new(&folder.path().join("certificates")).unwrap();
    let access = checkpoint_access("RU1", &["gw-1"], "iispp");
    let settings = Settings { tls: Some(certificates.broker()), access: Some(access), ..Settings::default() };
    let broker = Broker::start(&folder.path().join("broker"), &settings).await.unwrap();
    let own = certificates.client("gw-1").unwrap();

    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut options = MqttOptions::new("nobody", "127.0.0.1", broker.port);
    options.set_transport(Transport::tls_with_config(TlsConfiguration::Simple {
        ca: std::fs::read(&own.ca).unwrap(),
        alpn: None,
        client_auth: None,
    }));
    let (_client, mut events) = AsyncClient::new(options, 10);
    assert!(events.poll().await.is_err());

    let strangers = Certificates::new(&folder.path().join("strangers")).unwrap().client("gw-1").unwrap();
    let strange = Party { ca: own.ca.clone(), ..strangers.clone() };
    let edge =
        EdgeBox::start(&folder.path().join("1"), &Setup { tls: Some(strange), ..Setup::plain(broker.port) });
    edge.append([1]);
    let state = edge.wait_for("a refusal", |state| state.error.is_some()).await;
    assert_eq!((state.connections, edge.outbox.len()), (0, 1));
    edge.stop().await;

    // The other way round: a broker that the box's authority does not know.
    let wary = Party { ca: strangers.ca, ..own.clone() };
    let edge =
        EdgeBox::start(&folder.path().join("2"), &Setup { tls: Some(wary), ..Setup::plain(broker.port) });
    let state = edge.wait_for("a refusal", |state| state.error.is_some()).await;
    assert!(state.connections == 0 && state.error.unwrap().contains("certificate"));
    edge.stop().await;

    let edge =
        EdgeBox::start(&folder.path().join("3"), &Setup { tls: Some(own), ..Setup::plain(broker.port) });
    edge.wait_for("a connection", |state| state.link == Link::Online).await;
    edge.stop().await;
}
