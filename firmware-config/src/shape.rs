//! Holds a part of the file against its JSON Schema and finds everything that does not fit, not only the first thing.
//!
//! Only what the generated schemas of the site file and of the protocols use is understood; anything else is left to
//! the types themselves, which read the same part afterwards. So this check may miss, but it never refuses what the
//! types accept.

use std::fmt::Write as _;
use std::ops::Range;

use serde_json::{Map, Value};
use toml::de::{DeTable, DeValue};

use crate::file::{NAME_PATTERN, is_name};
use crate::tree::{Node, integer, join};

/// References deeper than this are not followed: a schema may refer to itself.
const MAX_DEPTH: usize = 32;

/// Something that does not fit.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Misfit {
    /// Dotted path of the field, from the top of the file.
    pub path: String,
    /// The last part of the path, as the technician wrote it or should have.
    pub key: String,
    /// Where to point.
    pub span: Range<usize>,
    /// What is wrong, without saying where.
    pub what: What,
}

/// What is wrong with a field.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum What {
    /// The key is not known here. Holds the known ones.
    Unknown(Vec<String>),
    /// The key must be there and is not.
    Missing,
    /// The value cannot be used, with the reason.
    Value(String),
}

/// Finds what of `node`, which stands at `path`, does not fit `schema`. `root` is the document that holds `$defs`.
pub(crate) fn check(root: &Value, schema: &Value, node: &Node<'_>, path: &str) -> Vec<Misfit> {
    let mut check = Check { root, found: Vec::new() };
    check.value(schema, node, path, 0);
    check.found
}

/// [`check`] for a table whose place is `span`.
pub(crate) fn check_table(
    root: &Value,
    schema: &Value,
    table: &DeTable<'_>,
    span: Range<usize>,
    path: &str,
) -> Vec<Misfit> {
    let mut check = Check { root, found: Vec::new() };
    if let Some(schema) = check.follow(schema).as_object() {
        check.table(schema, table, span, path, 0);
    }
    check.found
}

struct Check<'s> {
    root: &'s Value,
    found: Vec<Misfit>,
}

impl<'s> Check<'s> {
    /// The schema that `schema` refers to, or `schema` itself.
    fn follow(&self, schema: &'s Value) -> &'s Value {
        let mut schema = schema;
        for _ in 0..MAX_DEPTH {
            let Some(pointer) = schema.get("$ref").and_then(Value::as_str) else { break };
            match pointer.strip_prefix('#').and_then(|pointer| self.root.pointer(pointer)) {
                Some(target) => schema = target,
                None => break,
            }
        }
        schema
    }

    fn misfit(&mut self, path: &str, span: Range<usize>, what: What) {
        let key = path.rsplit('.').next().unwrap_or(path).to_owned();
        self.found.push(Misfit { path: path.to_owned(), key, span, what });
    }

    fn wrong(&mut self, path: &str, node: &Node<'_>, message: String) {
        self.misfit(path, node.span(), What::Value(message));
    }

    fn value(&mut self, schema: &'s Value, node: &Node<'_>, path: &str, depth: usize) {
        if depth > MAX_DEPTH {
            return;
        }
        let Some(schema) = self.follow(schema).as_object() else { return };
        let branches = schema.get("oneOf").or_else(|| schema.get("anyOf")).and_then(Value::as_array);
        if let Some(branches) = branches {
            self.branches(branches, node, path, depth);
        }
        let values = schema.get("enum").and_then(Value::as_array);
        if let Some(allowed) = values.map(|values| values.iter().collect::<Vec<_>>()) {
            return self.one_of(&allowed, node, path);
        }
        if let Some(value) = schema.get("const") {
            return self.one_of(&[value], node, path);
        }
        let expected = types(schema);
        if !expected.is_empty() && !expected.iter().any(|expected| has_type(expected, node.get_ref())) {
            let hint = match (expected.as_slice(), node.get_ref()) {
                (["array"], DeValue::Table(_)) => format!("; write [[{}]]", plain_path(path)),
                (["object"], DeValue::Array(_)) => format!("; write [{}]", plain_path(path)),
                _ => String::new(),
            };
            let expected: Vec<_> =
                expected.iter().filter(|name| **name != "null").map(|name| type_word(name)).collect();
            let message = format!("expected {}, got {}{hint}", expected.join(" or "), got(node.get_ref()));
            return self.wrong(path, node, message);
        }
        match node.get_ref() {
            DeValue::Integer(value) => match integer(value) {
                Some(value) => self.range(schema, value as f64, node, path),
                None => self.wrong(path, node, format!("{value} does not fit 64 bits")),
            },
            DeValue::Float(value) => match value.as_str().parse::<f64>() {
                Ok(value) if value.is_finite() => self.range(schema, value, node, path),
                _ => self.wrong(path, node, format!("expected a finite number, got {value}")),
            },
            DeValue::String(text) => self.text(schema, text, node, path),
            DeValue::Array(list) => {
                let count = |key| schema.get(key).and_then(Value::as_u64);
                let length = list.len() as u64;
                if let Some(least) = count("minItems").filter(|least| length < *least) {
                    self.wrong(path, node, format!("expected at least {least}, got {length}"));
                }
                if let Some(most) = count("maxItems").filter(|most| length > *most) {
                    self.wrong(path, node, format!("expected at most {most}, got {length}"));
                }
                if let Some(items) = schema.get("items") {
                    for (index, item) in list.iter().enumerate() {
                        self.value(items, item, &format!("{path}[{index}]"), depth + 1);
                    }
                }
            }
            DeValue::Table(table) => self.table(schema, table, node.span(), path, depth),
            DeValue::Boolean(_) | DeValue::Datetime(_) => {}
        }
    }

    fn table(
        &mut self,
        schema: &'s Map<String, Value>,
        table: &DeTable<'_>,
        span: Range<usize>,
        path: &str,
        depth: usize,
    ) {
        let properties = schema.get("properties").and_then(Value::as_object);
        let others = schema.get("additionalProperties");
        for (key, node) in table {
            let name = key.get_ref().as_ref();
            let here = join(path, name);
            match (properties.and_then(|properties| properties.get(name)), others) {
                (Some(property), _) => self.value(property, node, &here, depth + 1),
                (None, Some(Value::Bool(false))) => {
                    let known = properties.into_iter().flat_map(|all| all.keys().cloned()).collect();
                    self.found.push(Misfit {
                        path: here,
                        key: name.to_owned(),
                        span: key.span(),
                        what: What::Unknown(known),
                    });
                }
                (None, Some(other @ Value::Object(_))) => self.value(other, node, &here, depth + 1),
                (None, _) => {}
            }
        }
        let required = schema.get("required").and_then(Value::as_array);
        for name in required.into_iter().flatten().filter_map(Value::as_str) {
            if !table.contains_key(name) {
                self.misfit(&join(path, name), span.clone(), What::Missing);
            }
        }
    }

    /// One of several forms. Which one is meant is said by a word that each has of its own; where there is none, it is
    /// the form with the fewest problems.
    fn branches(&mut self, branches: &'s [Value], node: &Node<'_>, path: &str, depth: usize) {
        let branches: Vec<&'s Value> = branches.iter().map(|branch| self.follow(branch)).collect();
        let words: Option<Vec<&Value>> = branches.iter().map(|branch| branch.get("const")).collect();
        if let Some(words) = words {
            return self.one_of(&words, node, path);
        }
        if let Some((tag, words)) = tag_of(&branches) {
            let given = node.get_ref().as_table().and_then(|table| table.get(tag));
            let Some(given) = given.filter(|given| given.get_ref().is_str()) else {
                return self.misfit(&join(path, tag), node.span(), What::Missing);
            };
            return match words.iter().position(|word| word.as_str() == given.get_ref().as_str()) {
                Some(at) => branches.get(at).into_iter().for_each(|it| self.value(it, node, path, depth + 1)),
                None => self.one_of(&words, given, &join(path, tag)),
            };
        }
        let mut best: Option<Vec<Misfit>> = None;
        for branch in branches {
            if branch.get("type").and_then(Value::as_str) == Some("null") {
                continue;
            }
            let mut attempt = Check { root: self.root, found: Vec::new() };
            attempt.value(branch, node, path, depth + 1);
            if best.as_ref().is_none_or(|best| attempt.found.len() < best.len()) {
                best = Some(attempt.found);
            }
        }
        self.found.extend(best.unwrap_or_default());
    }

    fn one_of(&mut self, allowed: &[&Value], node: &Node<'_>, path: &str) {
        let text = node.get_ref().as_str();
        let fits = |value: &&Value| match node.get_ref() {
            DeValue::String(text) => value.as_str() == Some(text),
            DeValue::Integer(number) => value.as_i64() == integer(number),
            DeValue::Boolean(truth) => value.as_bool() == Some(*truth),
            // No generated schema names fixed values of other kinds.
            _ => false,
        };
        if allowed.iter().any(fits) {
            return;
        }
        let words: Vec<String> = allowed
            .iter()
            .filter(|value| !value.is_null())
            .map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned))
            .collect();
        let nearest = text.and_then(|text| nearest(text, &words));
        let meant = nearest.map_or_else(String::new, |word| format!(", did you mean \"{word}\"?"));
        let end = if meant.is_empty() { ";" } else { "" };
        let message = format!("got {}{meant}{end} allowed: {}", got(node.get_ref()), words.join(", "));
        self.wrong(path, node, message);
    }

    fn range(&mut self, schema: &Map<String, Value>, value: f64, node: &Node<'_>, path: &str) {
        let limit = |key| schema.get(key).and_then(Value::as_f64);
        let (least, most) = (limit("minimum"), limit("maximum"));
        let (above, below) = (limit("exclusiveMinimum"), limit("exclusiveMaximum"));
        let low = least.is_some_and(|least| value < least) || above.is_some_and(|above| value <= above);
        let high = most.is_some_and(|most| value > most) || below.is_some_and(|below| value >= below);
        if !low && !high {
            return;
        }
        let mut allowed = String::new();
        let lower =
            least.map(|least| least.to_string()).or_else(|| above.map(|above| format!("more than {above}")));
        let upper =
            most.map(|most| most.to_string()).or_else(|| below.map(|below| format!("less than {below}")));
        // Writing to a String cannot fail.
        let _ = match (lower, upper) {
            (Some(lower), Some(upper)) => write!(allowed, "{lower} to {upper}"),
            (Some(lower), None) if least.is_some() => write!(allowed, "{lower} or more"),
            (None, Some(upper)) if most.is_some() => write!(allowed, "{upper} or less"),
            (lower, upper) => write!(allowed, "{}", lower.or(upper).unwrap_or_default()),
        };
        let value = match node.get_ref() {
            DeValue::Integer(number) => number.to_string(),
            _ => value.to_string(),
        };
        self.wrong(path, node, format!("{value} is out of range, allowed: {allowed}"));
    }

    fn text(&mut self, schema: &Map<String, Value>, text: &str, node: &Node<'_>, path: &str) {
        let count = |key| schema.get(key).and_then(Value::as_u64);
        let length = text.chars().count() as u64;
        if count("minLength").is_some_and(|least| length < least) {
            let message = if length == 0 {
                "must not be empty".to_owned()
            } else {
                format!("{} is too short", got(node.get_ref()))
            };
            return self.wrong(path, node, message);
        }
        if let Some(most) = count("maxLength").filter(|most| length > *most) {
            return self.wrong(path, node, format!("is {length} characters long, allowed: at most {most}"));
        }
        // Other patterns are left to the type that reads the value.
        if schema.get("pattern").and_then(Value::as_str) == Some(NAME_PATTERN) && !is_name(text) {
            let message = format!(
                "{} has characters that a name cannot have, allowed: A-Z a-z 0-9 _ . -",
                got(node.get_ref())
            );
            self.wrong(path, node, message);
        }
    }
}

/// The property that has a word of its own in each of `branches`, with these words: a tagged enum.
fn tag_of<'s>(branches: &[&'s Value]) -> Option<(&'s str, Vec<&'s Value>)> {
    let properties = |branch: &'s Value| branch.get("properties").and_then(Value::as_object);
    let (tag, _) = properties(branches.first()?)?.iter().find(|(_, it)| it.get("const").is_some())?;
    let words = branches.iter().map(|branch| properties(branch)?.get(tag)?.get("const"));
    Some((tag, words.collect::<Option<_>>()?))
}

fn types(schema: &Map<String, Value>) -> Vec<&str> {
    match schema.get("type") {
        Some(Value::String(name)) => vec![name],
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

fn has_type(expected: &str, value: &DeValue<'_>) -> bool {
    match value {
        DeValue::String(_) => expected == "string",
        DeValue::Integer(_) => matches!(expected, "integer" | "number"),
        DeValue::Float(_) => expected == "number",
        DeValue::Boolean(_) => expected == "boolean",
        // Serde reads a TOML date as a special map: what that fits is left to the type.
        DeValue::Datetime(_) => true,
        DeValue::Array(_) => expected == "array",
        DeValue::Table(_) => expected == "object",
    }
}

fn type_word(name: &str) -> &str {
    match name {
        "string" => "a string",
        "integer" => "an integer",
        "number" => "a number",
        "boolean" => "true or false",
        "array" => "a list",
        "object" => "a table",
        other => other,
    }
}

/// What came, in words; long strings are cut.
pub(crate) fn got(value: &DeValue<'_>) -> String {
    const MOST: usize = 40;
    match value {
        DeValue::String(text) if text.chars().count() > MOST => {
            format!("\"{}…\"", text.chars().take(MOST).collect::<String>().escape_debug())
        }
        DeValue::String(text) => format!("\"{}\"", text.escape_debug()),
        DeValue::Integer(value) => format!("{value}"),
        DeValue::Float(value) => format!("{value}"),
        DeValue::Boolean(value) => format!("{value}"),
        DeValue::Datetime(value) => format!("the date {value}"),
        DeValue::Array(_) => "a list".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
    }
}

/// A path without list positions, as in a table's header.
fn plain_path(path: &str) -> String {
    let steps = path.split('.').map(|step| step.split('[').next().unwrap_or(step));
    steps.collect::<Vec<_>>().join(".")
}

/// The word of `known` that `word` was probably meant to be.
pub(crate) fn nearest<'a>(word: &str, known: &'a [String]) -> Option<&'a str> {
    // Half the letters wrong is another word; the limit of 0.7 keeps `adress`, `proctocol`, `lrlp` and drops guesses.
    const ENOUGH: f64 = 0.7;
    // The comparison takes the product of both lengths; no key is that long.
    if word.len() > 128 {
        return None;
    }
    let word = word.to_lowercase();
    let score = |candidate: &str| {
        let distance = strsim::damerau_levenshtein(&word, candidate);
        let similar = strsim::jaro_winkler(&word, candidate) >= ENOUGH;
        (similar && (distance <= 2 || distance * 3 <= candidate.len())).then_some(distance)
    };
    // `scale` may be meant for `in-1/scale`: the last part alone is compared too, and comes after whole words.
    let of = |candidate: &'a String| {
        let last = candidate.rsplit('/').next().and_then(score).map(|distance| distance + 1);
        Some((score(candidate).into_iter().chain(last).min()?, candidate.as_str()))
    };
    known.iter().filter_map(of).min_by_key(|(distance, _)| *distance).map(|(_, candidate)| candidate)
}

impl What {
    /// The whole sentence about the field that the technician knows as `field`.
    pub fn sentence(&self, field: &str, key: &str) -> String {
        match self {
            Self::Missing => format!("missing key `{field}`"),
            Self::Value(message) => format!("`{field}`: {message}"),
            Self::Unknown(known) => {
                let meant = nearest(key, known).map(|word| format!(", did you mean `{word}`?"));
                let end = if meant.is_some() { "" } else { ";" };
                let allowed = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
                format!("unknown key `{field}`{}{end} allowed: {allowed}", meant.unwrap_or_default())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_the_one_that_was_meant() {
        let known: Vec<String> =
            ["llrp", "weigh-scale/tenso_m", "tsa", "toledo_continuous", "inspection", "in"]
                .map(str::to_owned)
                .into();
        for (word, meant) in [
            ("lrlp", Some("llrp")),
            ("LLRP", Some("llrp")),
            ("tenso-m", Some("weigh-scale/tenso_m")),
            ("weigh-scale/tenso", Some("weigh-scale/tenso_m")),
            ("toledo_continous", Some("toledo_continuous")),
            ("inn", Some("in")),
            ("radar", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, &known), meant, "{word}");
        }
    }
}
