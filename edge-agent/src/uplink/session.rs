//! One connection from CONNECT to its end.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use outbox::{OutboxError, Stored};
use packet::{CommandState, EventHeader, Receipt, Status, StatusState, Topic, Topics};
use rumqttc::Outgoing;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{
    ConnAck, Filter, Packet, PubAckReason, Publish, PublishProperties, SubAck, SubscribeReasonCode,
};
use rumqttc::v5::{AsyncClient, Event};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until, timeout_at};
use tracing::{error, info, warn};

use super::commands::{self, CommandLedger, Unpublished};
use super::connection::{self, AbortOnDrop, Broken};
use super::progress::Progress;
use super::{Board, Incoming, Link, Uplink, blocking};

/// Retained messages come again this often, so that those with an expiry stay.
const REFRESH: Duration = Duration::from_secs(60);

/// How long an orderly end may take: what is under way is acknowledged, results are published, then the farewell.
const FAREWELL: Duration = Duration::from_secs(3);

/// Most messages waiting beside the events. More cannot be: topics of the board and commands are bounded.
const MAX_CONTROL: usize = 4_096;

/// Why a session ended.
pub(super) enum End {
    /// It was told to.
    Stopped,
    /// The connection failed.
    Broken(String),
    /// The broker ended it over what it was sent.
    Refused(String),
    /// The outbox failed.
    Storage(OutboxError),
}

impl From<OutboxError> for End {
    fn from(error: OutboxError) -> Self {
        Self::Storage(error)
    }
}

/// What a message is, for its acknowledgement.
#[derive(Clone, Debug, PartialEq)]
enum What {
    Event { id: String },
    Status,
    Retained,
    Result(Unpublished),
}

/// A message that is no event, waiting to be sent.
#[derive(Debug)]
struct Control {
    what: What,
    topic: String,
    payload: Vec<u8>,
    retain: bool,
    expiry_s: Option<u32>,
}

/// A message that was given to the client. rumqttc says packet ids in the order of publishing.
#[derive(Debug)]
struct InFlight {
    pkid: Option<u16>,
    topic: String,
    what: What,
    acknowledged: bool,
}

pub(super) struct Session<'a> {
    uplink: &'a mut Uplink,
    ledger: &'a Arc<CommandLedger>,
    ledger_changes: watch::Receiver<u64>,
    /// Events over which an earlier connection may have ended; each is sent alone.
    suspects: &'a mut HashSet<String>,
    name: String,
    client: AsyncClient,
    events: mpsc::Receiver<Result<Event, Broken>>,
    _event_loop: AbortOnDrop,
    connected: bool,
    window: usize,
    max_packet: Option<u32>,
    control: VecDeque<Control>,
    in_flight: VecDeque<InFlight>,
    board: Board,
    progress: Progress,
    /// The outbox has nothing more to send for now.
    idle: bool,
    progressed: bool,
}

/// What woke the session.
enum Woken {
    Event(Box<Option<Result<Event, Broken>>>),
    Appended,
    Results,
    Board,
    ReceiptTimeout,
    Refresh,
    Stop,
}

impl<'a> Session<'a> {
    pub fn connect(
        uplink: &'a mut Uplink,
        ledger: &'a Arc<CommandLedger>,
        suspects: &'a mut HashSet<String>,
        name: String,
    ) -> Self {
        uplink.state.send_modify(|state| state.link = Link::Connecting);
        let (client, events, event_loop) = connection::start(&uplink.config, &name);
        let progress = Progress::new(Duration::from_millis(uplink.config.receipt_timeout_ms));
        Self {
            ledger_changes: ledger.changes(),
            ledger,
            suspects,
            name,
            client,
            events,
            _event_loop: event_loop,
            connected: false,
            window: 1,
            max_packet: None,
            control: VecDeque::new(),
            in_flight: VecDeque::new(),
            board: Board::default(),
            progress,
            idle: false,
            progressed: false,
            uplink,
        }
    }

    /// Whether anything was acknowledged.
    pub fn progressed(&self) -> bool {
        self.progressed
    }

    /// The events given to the broker without an answer.
    pub fn in_flight_ids(&self) -> Vec<String> {
        let open = self.in_flight.iter().filter(|sent| !sent.acknowledged);
        open.filter_map(|sent| if let What::Event { id } = &sent.what { Some(id.clone()) } else { None })
            .collect()
    }

    pub async fn run(&mut self) -> End {
        match self.work().await {
            Ok(()) => End::Stopped,
            Err(end) => end,
        }
    }

    async fn work(&mut self) -> Result<(), End> {
        let mut receipts_due = Instant::now() + self.progress.timeout();
        let mut refresh = Instant::now() + REFRESH;
        loop {
            self.fill().await?;
            let woken = tokio::select! {
                event = self.events.recv() => Woken::Event(Box::new(event)),
                () = changed(&mut self.uplink.wake) => Woken::Appended,
                () = changed(&mut self.ledger_changes) => Woken::Results,
                () = changed(&mut self.uplink.board) => Woken::Board,
                () = sleep_until(receipts_due) => Woken::ReceiptTimeout,
                () = sleep_until(refresh) => Woken::Refresh,
                () = self.uplink.stop.cancelled() => Woken::Stop,
            };
            match woken {
                Woken::Event(event) => self.handle(*event).await?,
                Woken::Appended => self.idle = false,
                Woken::Results => self.queue_results(),
                Woken::Board => self.queue_board(false),
                Woken::ReceiptTimeout => {
                    self.receipt_timeout().await?;
                    receipts_due = Instant::now() + self.progress.timeout();
                }
                Woken::Refresh => {
                    self.queue_board(true);
                    refresh = Instant::now() + REFRESH;
                }
                Woken::Stop => return self.farewell().await,
            }
        }
    }

    /// Gives the client as much as the window allows.
    async fn fill(&mut self) -> Result<(), End> {
        if !self.connected {
            return Ok(());
        }
        while self.in_flight.len() < self.window && !self.suspect_under_way() {
            let Some(Control { what, topic, payload, retain, expiry_s }) = self.control.pop_front() else {
                break;
            };
            let properties = PublishProperties {
                message_expiry_interval: expiry_s,
                content_type: Some("application/json".to_owned()),
                ..PublishProperties::default()
            };
            self.publish(what, topic, payload, retain, properties)?;
        }
        // A few at a time rather than each alone: the outbox is asked less often.
        let free = self.window.saturating_sub(self.in_flight.len());
        if self.idle || self.suspect_under_way() || free < self.window.div_ceil(4) {
            return Ok(());
        }
        let page = self.next_events(free).await?;
        self.idle = page.is_empty();
        for stored in page {
            if self.suspects.contains(&stored.id) && !self.in_flight.is_empty() {
                break;
            }
            let (class, seq, alone) = (stored.class, stored.seq, self.suspects.contains(&stored.id));
            self.publish_event(stored).await?;
            self.progress.sent(class, seq);
            if alone && self.suspect_under_way() {
                break;
            }
        }
        Ok(())
    }

    fn suspect_under_way(&self) -> bool {
        self.in_flight
            .iter()
            .any(|sent| matches!(&sent.what, What::Event { id } if self.suspects.contains(id)))
    }

    async fn next_events(&self, most: usize) -> Result<Vec<Stored>, End> {
        let outbox = self.uplink.outbox.clone();
        let heads = blocking({
            let outbox = outbox.clone();
            move || outbox.heads()
        })
        .await?;
        let mut found = Vec::new();
        for (class, _) in heads {
            let (after, allowance) = (self.progress.after(class), self.progress.allowance(class));
            let most = most.saturating_sub(found.len()).min(usize::try_from(allowance).unwrap_or(usize::MAX));
            if most == 0 {
                continue;
            }
            let outbox = outbox.clone();
            found.extend(blocking(move || outbox.pending_in(class, after, most)).await?);
        }
        Ok(found)
    }

    async fn publish_event(&mut self, stored: Stored) -> Result<(), End> {
        let header = serde_json::from_str(&stored.header).ok();
        let header = header.or_else(|| EventHeader::from_bytes(&stored.payload));
        let Some(topic) = header.map(|header| self.uplink.config.topics.topic_of(&header)) else {
            return self.reject(&stored.id, "it has no readable header, so no topic").await;
        };
        let properties = PublishProperties {
            payload_format_indicator: Some(1),
            content_type: Some(packet::CONTENT_TYPE.to_owned()),
            ..PublishProperties::default()
        };
        let mut packet =
            Publish::new(topic.clone(), QoS::AtLeastOnce, stored.payload.clone(), Some(properties.clone()));
        packet.pkid = 1;
        if let Some(max) = self.max_packet
            && packet.size() > usize::try_from(max).unwrap_or(usize::MAX)
        {
            let why = format!("its packet has {} bytes, the broker takes at most {max}", packet.size());
            return self.reject(&stored.id, &why).await;
        }
        self.publish(What::Event { id: stored.id }, topic, stored.payload, false, properties)
    }

    fn publish(
        &mut self,
        what: What,
        topic: String,
        payload: Vec<u8>,
        retain: bool,
        properties: PublishProperties,
    ) -> Result<(), End> {
        // The channel has twice the window's room; it refuses only when the event loop has ended.
        self.client
            .try_publish_with_properties(topic.clone(), QoS::AtLeastOnce, retain, payload, properties)
            .map_err(|error| End::Broken(error.to_string()))?;
        self.in_flight.push_back(InFlight { pkid: None, topic, what, acknowledged: false });
        Ok(())
    }

    async fn reject(&mut self, id: &str, why: &str) -> Result<(), End> {
        let (outbox, id, why) = (self.uplink.outbox.clone(), id.to_owned(), why.to_owned());
        if blocking(move || outbox.reject(&id, &why)).await? {
            self.uplink.state.send_modify(|state| state.rejected += 1);
        }
        Ok(())
    }

    async fn handle(&mut self, event: Option<Result<Event, Broken>>) -> Result<(), End> {
        match event {
            None => Err(End::Broken("the MQTT client ended".to_owned())),
            Some(Err(Broken::Connection(why))) => Err(End::Broken(why)),
            Some(Err(Broken::Content(why))) => Err(End::Refused(why)),
            Some(Ok(Event::Outgoing(Outgoing::Publish(pkid)))) => {
                if let Some(sent) = self.in_flight.iter_mut().find(|sent| sent.pkid.is_none()) {
                    sent.pkid = Some(pkid);
                }
                Ok(())
            }
            Some(Ok(Event::Incoming(Packet::ConnAck(connack)))) => self.connected(&connack),
            Some(Ok(Event::Incoming(Packet::PubAck(ack)))) => self.acknowledged(ack.pkid, ack.reason).await,
            Some(Ok(Event::Incoming(Packet::SubAck(ack)))) => {
                self.subscribed(&ack);
                Ok(())
            }
            Some(Ok(Event::Incoming(Packet::Publish(publish)))) => self.incoming(&publish).await,
            Some(Ok(_)) => Ok(()),
        }
    }

    fn connected(&mut self, connack: &ConnAck) -> Result<(), End> {
        let properties = connack.properties.as_ref();
        self.max_packet = properties.and_then(|properties| properties.max_packet_size);
        let receive_max = properties.and_then(|properties| properties.receive_max).unwrap_or(u16::MAX);
        // Two fewer than the packet ids that rumqttc goes round in: an id is never used again while it is under way, even
        // with the one that the subscription took.
        self.window = usize::from(self.uplink.config.window.min(receive_max.saturating_sub(2)).max(1));
        self.connected = true;
        let filters = self.filters().map(|filter| Filter::new(filter, QoS::AtLeastOnce));
        self.client.try_subscribe_many(filters).map_err(|error| End::Broken(error.to_string()))?;
        let since = Some((self.uplink.clock)().utc);
        let next_seq = Some(self.uplink.outbox.next_seq());
        let birth = connection::status(&self.uplink.config, StatusState::Online, &self.name);
        self.queue_status(&Status { next_seq, since, ..birth });
        self.queue_results();
        self.queue_board(true);
        info!(session = self.name, window = self.window, max_packet = ?self.max_packet, "uplink online");
        let name = self.name.clone();
        self.uplink.state.send_modify(|state| {
            state.link = Link::Online;
            state.session = Some(name);
            state.error = None;
            state.connections += 1;
        });
        Ok(())
    }

    fn filters(&self) -> [String; 2] {
        let topics = &self.uplink.config.topics;
        [topics.receipt(), topics.command_filter()]
    }

    fn subscribed(&mut self, ack: &SubAck) {
        for (filter, code) in self.filters().into_iter().zip(&ack.return_codes) {
            self.uplink.state.send_modify(|state| {
                if matches!(code, SubscribeReasonCode::Success(_)) {
                    state.faults.remove(&filter);
                } else {
                    error!(filter, ?code, "the broker refuses a subscription");
                    let text = format!(
                        "the broker refuses the subscription to {filter} ({code:?}): check its access list"
                    );
                    state.fault(&filter, text);
                }
            });
        }
    }

    async fn acknowledged(&mut self, pkid: u16, reason: PubAckReason) -> Result<(), End> {
        let sent = self.in_flight.iter_mut().find(|sent| sent.pkid == Some(pkid) && !sent.acknowledged);
        let Some(sent) = sent else {
            warn!(pkid, "acknowledgement of nothing that is under way");
            return Ok(());
        };
        sent.acknowledged = true;
        let (topic, what) = (sent.topic.clone(), sent.what.clone());
        while self.in_flight.front().is_some_and(|sent| sent.acknowledged) {
            self.in_flight.pop_front();
        }
        self.progressed = true;
        if let What::Event { id } = &what {
            self.suspects.remove(id);
        }
        match reason {
            PubAckReason::Success | PubAckReason::NoMatchingSubscribers => {
                let is_event = matches!(what, What::Event { .. });
                self.uplink.state.send_if_modified(|state| {
                    state.sent += u64::from(is_event);
                    state.faults.remove(&topic).is_some() || is_event
                });
                if let What::Result(result) = what {
                    let ledger = self.ledger.clone();
                    blocking(move || ledger.published(&result)).await?;
                }
                Ok(())
            }
            reason => {
                let by_content =
                    matches!(reason, PubAckReason::PayloadFormatInvalid | PubAckReason::TopicNameInvalid);
                if let (true, What::Event { id }) = (by_content, what) {
                    return self.reject(&id, &format!("the broker refuses it: {reason:?}")).await;
                }
                // Rights and quotas are the installation's fault: the event stays and is sent again after the receipt time-out.
                self.refused(&topic, reason);
                Ok(())
            }
        }
    }

    fn refused(&mut self, topic: &str, reason: PubAckReason) {
        let text =
            format!("the broker refuses messages on {topic} ({reason:?}): check its access list and quotas");
        self.uplink.state.send_modify(|state| {
            if !state.faults.contains_key(topic) {
                error!("{text}; nothing is removed from the outbox");
            }
            state.fault(topic, text);
        });
    }

    async fn incoming(&mut self, publish: &Publish) -> Result<(), End> {
        let Ok(name) = std::str::from_utf8(&publish.topic) else { return Ok(()) };
        match Topics::parse(name) {
            Some((topics, Topic::Receipt)) if topics == self.uplink.config.topics => {
                self.receipt(name, &publish.payload).await
            }
            Some((topics, Topic::Command { kind, id })) if topics == self.uplink.config.topics => {
                self.command(&kind, &id, publish).await
            }
            _ => {
                warn!(topic = name, "message on a topic that was not subscribed; ignored");
                Ok(())
            }
        }
    }

    async fn receipt(&mut self, topic: &str, payload: &[u8]) -> Result<(), End> {
        let receipt: Receipt = match serde_json::from_slice(payload) {
            Ok(receipt) => receipt,
            Err(why) => {
                error!("receipt cannot be read: {why}");
                let text = format!("the IISPP sends receipts that cannot be read: {why}");
                self.uplink.state.send_modify(|state| state.fault(topic, text));
                return Ok(());
            }
        };
        let outbox = self.uplink.outbox.clone();
        let (removed, rejected, wrong) = blocking(move || {
            let mut rejected = 0;
            // Before `upto_seq`, which may include them.
            for rejection in &receipt.rejected {
                rejected += u64::from(outbox.reject(&rejection.id, &rejection.reason)?);
            }
            let mut removed = outbox.remove(&receipt.ids)?;
            let mut wrong = None;
            match receipt.upto_seq.map(|seq| outbox.remove_upto(seq)) {
                Some(Err(error @ OutboxError::NotIssued { .. })) => wrong = Some(error.to_string()),
                Some(result) => removed += result?,
                None => {}
            }
            Ok((removed, rejected, wrong))
        })
        .await?;
        if removed + rejected > 0 {
            self.progress.receipted();
            self.idle = false;
            self.progressed = true;
        }
        let now = (self.uplink.clock)().mono_ms;
        self.uplink.state.send_modify(|state| {
            state.receipted += removed;
            state.rejected += rejected;
            state.last_receipt_mono_ms = Some(now);
            match wrong {
                Some(wrong) => {
                    error!("{wrong}");
                    state.fault(topic, wrong);
                }
                None => {
                    state.faults.remove(topic);
                }
            }
        });
        Ok(())
    }

    async fn command(&mut self, kind: &str, id: &str, publish: &Publish) -> Result<(), End> {
        // The retained message was deleted: nothing is commanded.
        if publish.retain && publish.payload.is_empty() {
            return Ok(());
        }
        if !commands::can_be_named(kind, id) {
            warn!(kind, "command with an id that is empty or too long; ignored");
            return Ok(());
        }
        let received = (self.uplink.clock)();
        let judged = commands::judge(kind, &publish.payload, publish.retain, &received);
        let ledger = self.ledger.clone();
        let (kind, id) = (kind.to_owned(), id.to_owned());
        let incoming = self.uplink.incoming.clone();
        blocking(move || {
            if !ledger.receive(&kind, &id)? {
                info!(kind, id, "command came again; answered with its stored state");
                return Ok(());
            }
            let (command, deadline_mono_ms) = match judged {
                Ok(judged) => judged,
                Err((state, why)) => {
                    warn!(kind, id, "command not carried out: {why}");
                    return ledger.set(&kind, &id, state, Some(why));
                }
            };
            // Executing before it is handed over: after a crash it is known that it may have been begun.
            ledger.set(&kind, &id, CommandState::Executing, None)?;
            let decision = Incoming::Decision { id: id.clone(), command, received, deadline_mono_ms };
            if incoming.try_send(decision).is_err() {
                error!(kind, id, "command not carried out: the daemon does not take it");
                let why = "the box is too busy to take it; send another".to_owned();
                return ledger.set(&kind, &id, CommandState::Failed, Some(why));
            }
            Ok(())
        })
        .await?;
        Ok(())
    }

    async fn receipt_timeout(&mut self) -> Result<(), End> {
        let outbox = self.uplink.outbox.clone();
        let heads = blocking(move || outbox.heads()).await?;
        if self.progress.timed_out(&heads) {
            warn!(?heads, "no receipt in time; sending again");
            self.idle = false;
        }
        Ok(())
    }

    fn queue_status(&mut self, status: &Status) {
        let payload = serde_json::to_vec(status).unwrap_or_default();
        let topic = self.uplink.config.topics.status();
        self.queue(Control { what: What::Status, topic, payload, retain: true, expiry_s: None });
    }

    /// Queues results that are neither queued nor under way.
    fn queue_results(&mut self) {
        for result in self.ledger.unpublished() {
            let what = What::Result(result.clone());
            let under_way = self.in_flight.iter().any(|sent| sent.what == what && !sent.acknowledged);
            if under_way || self.control.iter().any(|control| control.what == what) {
                continue;
            }
            let topic = self.uplink.config.topics.command_result(&result.kind, &result.result.id);
            let payload = serde_json::to_vec(&result.result).unwrap_or_default();
            self.queue(Control { what, topic, payload, retain: false, expiry_s: None });
        }
    }

    /// Queues the retained messages that changed, or all.
    fn queue_board(&mut self, all: bool) {
        let new = self.uplink.board.borrow_and_update().clone();
        let old = std::mem::replace(&mut self.board, new.clone());
        let empty = BTreeMap::new();
        let known = if all { &empty } else { &*old };
        for (topic, message) in new.iter().filter(|(topic, message)| known.get(*topic) != Some(*message)) {
            self.control.retain(|control| control.what != What::Retained || control.topic != *topic);
            let (payload, expiry_s) = (message.payload.clone(), message.expiry_s);
            self.queue(Control {
                what: What::Retained,
                topic: topic.clone(),
                payload,
                retain: true,
                expiry_s,
            });
        }
    }

    fn queue(&mut self, control: Control) {
        if self.control.len() < MAX_CONTROL {
            self.control.push_back(control);
        } else {
            warn!(topic = control.topic, "too many messages waiting; dropped until its next turn");
        }
    }

    /// Ends in good order: what is under way is acknowledged, results go, then the farewell, so that the will stays unsaid.
    async fn farewell(&mut self) -> Result<(), End> {
        if !self.connected {
            return Ok(());
        }
        let until = Instant::now() + FAREWELL;
        self.queue_results();
        self.idle = true;
        self.drain(until).await?;
        let farewell = connection::status(&self.uplink.config, StatusState::Stopped, &self.name);
        self.queue_status(&Status { next_seq: Some(self.uplink.outbox.next_seq()), ..farewell });
        self.drain(until).await?;
        if self.client.try_disconnect().is_ok() {
            let gone = async { while self.events.recv().await.is_some_and(|event| event.is_ok()) {} };
            let _ = timeout_at(until.min(Instant::now() + Duration::from_millis(500)), gone).await;
        }
        Ok(())
    }

    async fn drain(&mut self, until: Instant) -> Result<(), End> {
        loop {
            self.fill().await?;
            if self.control.is_empty() && self.in_flight.is_empty() {
                return Ok(());
            }
            match timeout_at(until, self.events.recv()).await {
                Ok(event) => self.handle(event).await?,
                Err(_) => return Ok(()),
            }
        }
    }
}

/// Waits for a change; for ever, if its sender is gone.
async fn changed<T>(receiver: &mut watch::Receiver<T>) {
    if receiver.changed().await.is_err() {
        std::future::pending().await
    }
}
