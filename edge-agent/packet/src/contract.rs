//! The contract as files: JSON Schema 2020-12 of every message, and an AsyncAPI 3 document that says where they travel.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema};
use serde_json::{Value, json};

use crate::{
    AlarmEvent, CommandResult, DecisionCommand, Event, EventData, HealthMessage, LoadMessage, OrphanEvent,
    Packet, Receipt, Status,
};

/// A message of the contract: file name of its schema, and the schema.
type Described = (&'static str, fn() -> Schema);

/// Every message of the contract.
pub const SCHEMAS: [Described; 9] = [
    ("passage-event.json", event::<Packet>),
    ("alarm-event.json", event::<AlarmEvent>),
    ("orphan-event.json", event::<OrphanEvent>),
    ("receipt.json", schema::<Receipt>),
    ("status.json", schema::<Status>),
    ("health.json", schema::<HealthMessage>),
    ("load.json", schema::<LoadMessage>),
    ("decision-command.json", schema::<DecisionCommand>),
    ("command-result.json", schema::<CommandResult>),
];

/// The files of `contract/`: name and content.
pub fn contract_files() -> Vec<(&'static str, String)> {
    let schemas = SCHEMAS.iter().map(|(name, schema)| (*name, pretty(&json!(schema()))));
    schemas.chain([("asyncapi.json", pretty(&asyncapi()))]).collect()
}

fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}

fn schema<T: JsonSchema>() -> Schema {
    SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<T>()
}

fn event<T: EventData>() -> Schema {
    let mut schema = schema::<Event<T>>();
    let fixed = [
        ("/properties/specversion", json!("1.0")),
        ("/properties/type", json!(T::CLASS.event_type())),
        ("/properties/datacontenttype", json!("application/json")),
    ];
    for (pointer, value) in fixed {
        if let Some(Value::Object(property)) = schema.pointer_mut(pointer) {
            property.insert("const".to_owned(), value);
        }
    }
    if let Some(Value::Object(seq)) = schema.pointer_mut("/properties/seq") {
        seq.insert("minimum".to_owned(), json!(1));
    }
    schema
}

/// Who sends on a channel.
enum Sender {
    Box,
    Iispp,
}

/// One channel: name, address below the box, sender, whether messages are retained, message, schema file, description.
struct Channel(&'static str, &'static str, Sender, bool, &'static str, &'static str, &'static str);

const CHANNELS: [Channel; 9] = [
    Channel(
        "status",
        "status",
        Sender::Box,
        true,
        "Status",
        "status.json",
        "Whether the box is there: birth message, and last will of its connection.",
    ),
    Channel(
        "health",
        "health/{sensor}",
        Sender::Box,
        true,
        "Health",
        "health.json",
        "How a sensor is doing, on change and every 60 s; expires after 180 s.",
    ),
    Channel("load", "load", Sender::Box, false, "Load", "load.json", "How busy the lanes are."),
    Channel(
        "passage",
        "lane/{lane}/passage",
        Sender::Box,
        false,
        "PassageEvent",
        "passage-event.json",
        "Packet revisions. Repeated until a receipt names them.",
    ),
    Channel(
        "alarm",
        "alarm",
        Sender::Box,
        false,
        "AlarmEvent",
        "alarm-event.json",
        "Alarms; they go before packets, so their `seq` may come early. Repeated until a receipt names them.",
    ),
    Channel(
        "orphan",
        "orphan",
        Sender::Box,
        false,
        "OrphanEvent",
        "orphan-event.json",
        "Observations that belong to no passage. Repeated until a receipt names them.",
    ),
    Channel(
        "receipt",
        "receipt",
        Sender::Iispp,
        false,
        "Receipt",
        "receipt.json",
        "What the IISPP has stored. Only this removes an event from the box.",
    ),
    Channel(
        "decision",
        "cmd/decision/{command}",
        Sender::Iispp,
        false,
        "DecisionCommand",
        "decision-command.json",
        "What to do with a vehicle. Valid for 10 s at most; idempotent by its name in the topic.",
    ),
    Channel(
        "commandResult",
        "cmd/{kind}/{command}/result",
        Sender::Box,
        false,
        "CommandResult",
        "command-result.json",
        "How far a command has come.",
    ),
];

/// What the variable levels of topics mean.
const PARAMETERS: [(&str, &str); 6] = [
    ("site", "Customs office code or UN/LOCODE of the checkpoint."),
    ("box", "The box at the site."),
    ("sensor", "The sensor; percent-encoded where it holds / + # %."),
    ("lane", "The driving lane; percent-encoded where it holds / + # %."),
    ("command", "Names the command; a repeat has the same name."),
    ("kind", "What is commanded, such as decision."),
];

fn asyncapi() -> Value {
    let mut channels = serde_json::Map::new();
    let mut operations = serde_json::Map::new();
    let mut messages = serde_json::Map::new();
    for Channel(name, below, sender, retained, message, file, description) in &CHANNELS {
        let address = format!("ckpt/v1/{{site}}/{{box}}/{below}");
        let parameters: serde_json::Map<String, Value> = PARAMETERS
            .iter()
            .filter(|(parameter, _)| address.contains(&format!("{{{parameter}}}")))
            .map(|(parameter, meaning)| ((*parameter).to_owned(), json!({ "description": meaning })))
            .collect();
        let reference = |to: String| json!({ "$ref": to });
        channels.insert(
            (*name).to_owned(),
            json!({
                "address": address,
                "description": description,
                "parameters": parameters,
                "messages": { *message: reference(format!("#/components/messages/{message}")) },
            }),
        );
        let action = match sender {
            Sender::Box => "send",
            Sender::Iispp => "receive",
        };
        operations.insert(
            format!("{action}{message}"),
            json!({
                "action": action,
                "channel": reference(format!("#/channels/{name}")),
                "messages": [reference(format!("#/channels/{name}/messages/{message}"))],
                "bindings": { "mqtt": { "qos": 1, "retain": retained, "bindingVersion": "0.2.0" } },
            }),
        );
        let content_type =
            if file.ends_with("-event.json") { crate::CONTENT_TYPE } else { "application/json" };
        messages.insert(
            (*message).to_owned(),
            json!({
                "name": message,
                "contentType": content_type,
                "payload": {
                    "schemaFormat": "application/schema+json;version=draft-2020-12",
                    "schema": reference(format!("./{file}")),
                },
            }),
        );
    }
    json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "Checkpoint feed",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "What a checkpoint's edge controller and the IISPP say to each other, seen from the \
                            controller: it sends on `send` operations and receives on `receive` operations. MQTT 5, \
                            QoS 1. An event is named by (source, id); a repeat has the same name. `seq` counts the \
                            events of a box without gaps. An event is repeated until a receipt names it: PUBACK is \
                            not storage.",
        },
        "defaultContentType": "application/json",
        "channels": channels,
        "operations": operations,
        "components": { "messages": messages },
    })
}
