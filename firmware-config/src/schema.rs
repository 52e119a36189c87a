//! The JSON Schema of the whole file.

use interface::Protocol;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use crate::file::SiteFile;

/// Schema of the file without the parameters of the protocols.
pub(crate) fn of_file() -> Value {
    SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<SiteFile>().to_value()
}

/// JSON Schema (draft 2020-12) of the site file with the protocols of `catalogue`; each `[[sensor]]` is one of them.
pub fn schema(catalogue: &[&dyn Protocol]) -> Value {
    let mut file = of_file();
    let mut definitions = Map::new();
    let head = file.pointer("/$defs/SensorHead").cloned().unwrap_or_default();
    let forms: Vec<Value> =
        catalogue.iter().map(|protocol| sensor(*protocol, &head, &mut definitions)).collect();
    if let Some(all) = file.get_mut("$defs").and_then(Value::as_object_mut) {
        all.remove("SensorHead");
        all.extend(definitions);
        let names = json!({ "description": head.get("description"), "oneOf": forms });
        all.insert("Sensor".to_owned(), names);
    }
    if let Some(items) = file.pointer_mut("/properties/sensor/items") {
        *items = json!({ "$ref": "#/$defs/Sensor" });
    }
    file
}

/// One protocol's form of a sensor: the common keys and the parameters in one table.
fn sensor(protocol: &dyn Protocol, head: &Value, definitions: &mut Map<String, Value>) -> Value {
    let mut own = protocol.schema().to_value();
    // A slash would be a step of the JSON pointer that a reference is (RFC 6901).
    let prefix = protocol.name().replace('/', ".");
    prefix_references(&mut own, &prefix);
    let Some(own) = own.as_object_mut() else { return Value::Bool(false) };
    own.remove("$schema");
    if let Some(Value::Object(parts)) = own.remove("$defs") {
        definitions.extend(parts.into_iter().map(|(name, part)| (format!("{prefix}.{name}"), part)));
    }
    let mut properties = head.get("properties").and_then(Value::as_object).cloned().unwrap_or_default();
    let of_protocol = properties.get("protocol").and_then(|property| property.get("description")).cloned();
    let named = json!({ "description": of_protocol, "type": "string", "const": protocol.name() });
    properties.insert("protocol".to_owned(), named);
    let mut required = head.get("required").and_then(Value::as_array).cloned().unwrap_or_default();
    let mut form = json!({ "title": protocol.name(), "description": protocol.summary(), "type": "object" });
    // Parameters that are one flat table are merged; a protocol with several forms of them keeps these beside.
    let flat = ["oneOf", "anyOf", "allOf", "$ref"].iter().all(|key| !own.contains_key(*key));
    if flat {
        properties.extend(own.get("properties").and_then(Value::as_object).cloned().unwrap_or_default());
        required.extend(own.get("required").and_then(Value::as_array).cloned().unwrap_or_default());
        if let Some(form) = form.as_object_mut() {
            form.insert(
                "additionalProperties".to_owned(),
                own.get("additionalProperties").cloned().unwrap_or(json!(false)),
            );
        }
    }
    if let Some(form) = form.as_object_mut() {
        form.insert("properties".to_owned(), Value::Object(properties));
        form.insert("required".to_owned(), Value::Array(required));
        if !flat {
            form.insert("allOf".to_owned(), json!([own]));
        }
    }
    form
}

/// `#/$defs/X` becomes `#/$defs/protocol.X`, so that the definitions of two protocols do not meet.
fn prefix_references(value: &mut Value, prefix: &str) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                match value {
                    Value::String(target) if key == "$ref" => {
                        if let Some(name) = target.strip_prefix("#/$defs/") {
                            *target = format!("#/$defs/{prefix}.{name}");
                        }
                    }
                    value => prefix_references(value, prefix),
                }
            }
        }
        Value::Array(list) => list.iter_mut().for_each(|value| prefix_references(value, prefix)),
        _ => {}
    }
}
