//! Carries gate actions to the lane's gate and tells what became of them.

use std::collections::BTreeMap;
use std::time::Duration;

use interface::{Command, GateAction, SensorId};
use packet::{CommandResult, CommandState};
use passage::LaneId;
use tokio::sync::{mpsc, oneshot, watch};
use tracing::{error, info};

use crate::clock::Clock;

/// A gate driver answers within this time or counts as failed: long enough for a barrier that waits for the loop under
/// it and then travels.
const ANSWER: Duration = Duration::from_secs(30);

/// What the gate of a lane shall do, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GateRequest {
    /// Which lane.
    pub lane: LaneId,
    /// What to do.
    pub actions: Vec<GateAction>,
    /// The command that asked for it, if one did.
    pub command_id: Option<String>,
    /// Not to be begun after this monotonic time, milliseconds: a stale "open" must never fire.
    pub deadline_mono_ms: Option<u64>,
}

/// Where a gate driver takes its commands, while it runs.
pub type GateCommands = watch::Receiver<Option<mpsc::Sender<Command>>>;

/// The gates of all lanes: for each lane the last one in driving order.
#[derive(Debug, Default)]
pub struct Gates(pub BTreeMap<LaneId, (SensorId, GateCommands)>);

impl Gates {
    /// Serves requests until the sender is gone. Lanes do not wait for each other.
    pub async fn run(
        self,
        mut requests: mpsc::Receiver<GateRequest>,
        results: mpsc::Sender<CommandResult>,
        clock: Clock,
    ) {
        let mut lanes = BTreeMap::new();
        while let Some(request) = requests.recv().await {
            let sender = lanes.entry(request.lane.clone()).or_insert_with(|| {
                let (sender, receiver) = mpsc::channel(16);
                tokio::spawn(serve_lane(
                    self.0.get(&request.lane).cloned(),
                    receiver,
                    results.clone(),
                    clock.clone(),
                ));
                sender
            });
            if let Err(refused) = sender.try_send(request) {
                // Sixteen waiting actions mean that the gate does not answer; more would only be stale.
                let request = match refused {
                    mpsc::error::TrySendError::Full(request) | mpsc::error::TrySendError::Closed(request) => {
                        request
                    }
                };
                let why = "the gate has sixteen actions waiting; not done".to_owned();
                report(&results, &request, CommandState::Failed, why).await;
            }
        }
    }
}

async fn serve_lane(
    gate: Option<(SensorId, GateCommands)>,
    mut requests: mpsc::Receiver<GateRequest>,
    results: mpsc::Sender<CommandResult>,
    clock: Clock,
) {
    while let Some(request) = requests.recv().await {
        if request.deadline_mono_ms.is_some_and(|deadline| deadline < clock.now().mono_ms) {
            report(
                &results,
                &request,
                CommandState::Expired,
                "its time ran out before the gate was free".to_owned(),
            )
            .await;
            continue;
        }
        let outcome = match &gate {
            Some((sensor, commands)) => perform(sensor, commands, &request.actions).await,
            None => Ok("recorded; this lane has no gate".to_owned()),
        };
        let (state, detail) = match outcome {
            Ok(detail) => (CommandState::Done, detail),
            Err(detail) => (CommandState::Failed, detail),
        };
        report(&results, &request, state, detail).await;
    }
}

async fn perform(
    sensor: &SensorId,
    commands: &GateCommands,
    actions: &[GateAction],
) -> Result<String, String> {
    let mut done = Vec::new();
    for action in actions {
        let (reply, answer) = oneshot::channel();
        let sender = commands.borrow().clone();
        let sender = sender.ok_or_else(|| format!("gate {sensor} is offline"))?;
        let command = Command { action: *action, reply };
        sender.try_send(command).map_err(|_| format!("gate {sensor} takes no commands now"))?;
        let answer = tokio::time::timeout(ANSWER, answer).await;
        let answer = answer.map_err(|_| format!("gate {sensor} did not answer within {ANSWER:?}"))?;
        done.push(answer.map_err(|_| format!("gate {sensor} went away while it acted"))??);
    }
    Ok(done.join("; "))
}

async fn report(
    results: &mpsc::Sender<CommandResult>,
    request: &GateRequest,
    state: CommandState,
    detail: String,
) {
    if state == CommandState::Done {
        info!(lane = %request.lane, "gate: {detail}");
    } else {
        error!(lane = %request.lane, "gate: {:?} not done: {detail}", request.actions);
    }
    if let Some(id) = &request.command_id {
        let result = CommandResult { id: id.clone(), state, detail: Some(detail) };
        // Only fails when the uplink has ended; the command's stored state then answers after the restart.
        let _ = results.send(result).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(command_id: &str) -> GateRequest {
        GateRequest {
            lane: LaneId("in-1".into()),
            actions: vec![GateAction::OpenBarrier],
            command_id: Some(command_id.into()),
            deadline_mono_ms: None,
        }
    }

    #[tokio::test]
    async fn a_gate_that_is_there_acts_and_one_that_is_not_is_reported() {
        let (driver, mut commands) = mpsc::channel::<Command>(8);
        let (present, receiver) = watch::channel(Some(driver));
        let gates = Gates(BTreeMap::from([(LaneId("in-1".into()), (SensorId::from("gate"), receiver))]));
        let (requests, request_receiver) = mpsc::channel(4);
        let (results, mut outcomes) = mpsc::channel(4);
        tokio::spawn(gates.run(request_receiver, results, Clock::new().unwrap()));

        requests.send(request("c1")).await.unwrap();
        let command = commands.recv().await.unwrap();
        command.reply.send(Ok("barrier open".into())).unwrap();
        let result = outcomes.recv().await.unwrap();
        assert_eq!((result.id.as_str(), result.state), ("c1", CommandState::Done));

        present.send_replace(None);
        requests.send(request("c2")).await.unwrap();
        let result = outcomes.recv().await.unwrap();
        assert_eq!(result.state, CommandState::Failed);
        assert_eq!(result.detail.as_deref(), Some("gate gate is offline"));

        requests.send(GateRequest { deadline_mono_ms: Some(0), ..request("c3") }).await.unwrap();
        assert_eq!(outcomes.recv().await.unwrap().state, CommandState::Expired);
    }
}
