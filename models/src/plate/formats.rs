//! The plate formats of the countries, from the table `formats.toml`.

use super::grammar::{SignSet, sign_set};
use super::lattice::{UNREAD, class_of};
use crate::ModelError;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// One shape, with all the formats that have it.
#[derive(Clone, Debug)]
pub struct Shape {
    /// Which signs can stand at each position.
    pub positions: Vec<SignSet>,
    /// The formats with this shape.
    pub formats: Vec<Format>,
}

/// One format of a country.
#[derive(Clone, Debug)]
pub struct Format {
    /// ISO 3166-1 alpha-2.
    pub country: String,
    /// How much less likely it is than a common one, in nats, 0 or more.
    pub handicap: f32,
    /// The codes (of regions, districts) that are in use, if they are known.
    codes: Option<Arc<Codes>>,
    /// Whether it has signs that the readers have not: then a text of it is never certain.
    partial: bool,
}

/// Codes that texts of a format begin or end with.
#[derive(Debug)]
struct Codes {
    ending: bool,
    known: BTreeSet<String>,
}

/// Handicap of a code that is not in the list, in nats: lists grow old.
const STRANGE: f32 = 3.0;

impl Format {
    /// What the text pays for a code that is not in use.
    fn strange(&self, text: &str) -> f32 {
        let Some(codes) = &self.codes else { return 0.0 };
        let fits = |code: &String| if codes.ending { text.ends_with(code) } else { text.starts_with(code) };
        if codes.known.iter().any(fits) { 0.0 } else { STRANGE }
    }
}

impl Shape {
    /// Whether the text has this shape.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        let mut classes = text.chars().map(class_of);
        self.positions.iter().all(|set| matches!(classes.next(), Some(Some(class)) if set >> class & 1 == 1))
            && classes.next().is_none()
    }
}

/// The table of all formats.
#[derive(Clone, Debug)]
pub struct Formats {
    shapes: Vec<Shape>,
    badges: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    /// Where rows were checked, by key.
    sources: BTreeMap<String, String>,
    sets: BTreeMap<char, String>,
    codes: BTreeMap<String, CodesRow>,
    badges: BTreeMap<String, String>,
    format: Vec<Row>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CodesRow {
    source: String,
    at: End,
    known: String,
}

#[derive(Clone, Copy, Deserialize, PartialEq)]
#[serde(rename_all = "snake_case")]
enum End {
    Start,
    End,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    country: String,
    /// For people and for the test against the vectors.
    #[allow(dead_code, reason = "read by people")]
    kind: String,
    source: String,
    patterns: Vec<String>,
    #[serde(default)]
    handicap: f32,
    /// Name of the list of codes.
    codes: Option<String>,
    #[serde(default)]
    partial: bool,
}

impl Formats {
    /// The table this version was built with.
    ///
    /// # Errors
    /// Never for the checked-in table (a test reads it).
    pub fn builtin() -> Result<Self, ModelError> {
        Self::parse(include_str!("formats.toml"))
    }

    fn parse(text: &str) -> Result<Self, ModelError> {
        let fault = |reason: String| ModelError::Manifest(format!("formats.toml: {reason}"));
        let table: Table = toml::from_str(text).map_err(|e| fault(e.to_string()))?;
        let rows = table.format.iter().map(|row| &row.source);
        for source in rows.chain(table.codes.values().map(|list| &list.source)) {
            if table.sources.get(source).is_none_or(|text| text.trim().is_empty()) {
                return Err(fault(format!("no source `{source}`: [sources] says where a row was checked")));
            }
        }
        let lists: BTreeMap<String, Arc<Codes>> = table
            .codes
            .iter()
            .map(|(name, list)| {
                let known = list.known.split_whitespace().map(str::to_owned).collect();
                (name.clone(), Arc::new(Codes { ending: list.at == End::End, known }))
            })
            .collect();
        let mut shapes: Vec<Shape> = Vec::new();
        for row in table.format {
            let codes = match &row.codes {
                None => None,
                Some(name) => match lists.get(name) {
                    Some(list) => Some(list.clone()),
                    None => return Err(fault(format!("{}: no codes `{name}`", row.country))),
                },
            };
            for pattern in &row.patterns {
                let position = |c: char| match table.sets.get(&c) {
                    Some(signs) => Ok(sign_set(signs)),
                    None if c.is_ascii_lowercase() || c.is_ascii_digit() || c == UNREAD => {
                        Ok(sign_set(&c.to_string()))
                    }
                    None => Err(fault(format!("pattern {pattern} of {}: no set `{c}`", row.country))),
                };
                let positions = pattern.chars().map(position).collect::<Result<Vec<_>, _>>()?;
                let format = Format {
                    country: row.country.clone(),
                    handicap: row.handicap,
                    codes: codes.clone(),
                    partial: row.partial,
                };
                match shapes.iter_mut().find(|shape| shape.positions == positions) {
                    Some(shape) => shape.formats.push(format),
                    None => shapes.push(Shape { positions, formats: vec![format] }),
                }
            }
        }
        Ok(Self { shapes, badges: table.badges })
    }

    /// All shapes, each once.
    #[must_use]
    pub fn shapes(&self) -> &[Shape] {
        &self.shapes
    }

    /// What may stand before a text of this shape on the strip beside the number.
    pub fn badges<'a>(&'a self, shape: &'a Shape) -> impl Iterator<Item = &'a str> {
        let on = |country: &String| shape.formats.iter().any(|f| f.country == *country);
        self.badges.iter().filter(move |(country, _)| on(country)).map(|(_, badge)| badge.as_str())
    }

    /// The countries in the table, sorted.
    #[must_use]
    pub fn countries(&self) -> Vec<&str> {
        let mut all: Vec<&str> =
            self.shapes.iter().flat_map(|s| &s.formats).map(|f| f.country.as_str()).collect();
        all.sort_unstable();
        all.dedup();
        all
    }
}

/// What is expected at a place: how much less likely each format is there.
#[derive(Clone, Debug)]
pub struct Expectation {
    countries: Vec<String>,
}

/// Handicap of a country that is not expected, in nats.
const FOREIGN: f32 = 4.0;
/// Formats whose handicap is within this of the best one count as equally likely when the country is named.
const AMBIGUOUS: f32 = 3.0;

impl Expectation {
    /// Expects the plates of `countries`; of all countries alike when it is empty.
    ///
    /// # Errors
    /// A country is not in the table.
    pub fn new(countries: &[String], formats: &Formats) -> Result<Self, ModelError> {
        let known = formats.countries();
        for country in countries {
            if !known.contains(&country.as_str()) {
                let reason = format!("no plate formats for `{country}`, there are: {}", known.join(", "));
                return Err(ModelError::Option { option: "countries", reason });
            }
        }
        Ok(Self { countries: countries.to_vec() })
    }

    /// Whether nothing is known about the place.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.countries.is_empty()
    }

    fn handicap(&self, format: &Format) -> f32 {
        let foreign = !self.is_open() && !self.countries.contains(&format.country);
        format.handicap + if foreign { FOREIGN } else { 0.0 }
    }

    /// The least handicap of the formats of a shape.
    #[must_use]
    pub fn prior(&self, shape: &Shape) -> f32 {
        -shape.formats.iter().map(|f| self.handicap(f)).fold(f32::MAX, f32::min)
    }

    /// The least handicap that a text of this shape has.
    #[must_use]
    pub fn prior_of(&self, shape: &Shape, text: &str) -> f32 {
        -shape.formats.iter().map(|f| self.handicap(f) + f.strange(text)).fold(f32::MAX, f32::min)
    }

    /// The country of a text, when all the likely formats that fit it are of one country.
    #[must_use]
    pub fn country(&self, text: &str, formats: &Formats) -> Option<String> {
        let likely = self.likely(text, formats);
        let first = &likely.first()?.country;
        likely.iter().all(|f| f.country == *first).then(|| first.clone())
    }

    /// Whether a format has the text, and the readers know all the signs of those that are likely.
    #[must_use]
    pub fn is_complete(&self, text: &str, formats: &Formats) -> bool {
        let likely = self.likely(text, formats);
        !likely.is_empty() && !likely.iter().any(|f| f.partial)
    }

    /// The formats of the text that are about as likely as the likeliest.
    fn likely<'a>(&self, text: &str, formats: &'a Formats) -> Vec<&'a Format> {
        let shapes = formats.shapes.iter().filter(|shape| shape.matches(text));
        let fitting: Vec<(&Format, f32)> = shapes
            .flat_map(|shape| &shape.formats)
            .map(|f| (f, self.handicap(f) + f.strange(text)))
            .collect();
        let least = fitting.iter().map(|f| f.1).fold(f32::MAX, f32::min);
        fitting.into_iter().filter(|f| f.1 < least + AMBIGUOUS).map(|f| f.0).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_holds_every_example_of_the_vectors() {
        let formats = Formats::builtin().unwrap();
        let vectors: serde_json::Value =
            serde_json::from_str(include_str!("../../tests/vectors/plate_formats.json")).unwrap();
        let mut checked = 0;
        for pattern in vectors["patterns"].as_array().unwrap() {
            let country = pattern["country"].as_str().unwrap();
            for example in pattern["examples"].as_array().unwrap() {
                let text = example.as_str().unwrap();
                if !text.chars().all(|c| class_of(c).is_some()) {
                    continue; // Persian letters, and the two of Mongolian that Russian has not
                }
                let fits = formats
                    .shapes()
                    .iter()
                    .any(|shape| shape.matches(text) && shape.formats.iter().any(|f| f.country == country));
                assert!(fits, "{country} {text}");
                checked += 1;
            }
        }
        assert!(checked > 50, "{checked}");
    }

    #[test]
    fn ambiguous_texts_have_no_country_unless_the_place_decides() {
        let formats = Formats::builtin().unwrap();
        let open = Expectation::new(&[], &formats).unwrap();
        let vectors: BTreeMap<String, Vec<String>> =
            serde_json::from_str(include_str!("../../tests/vectors/ambiguous_examples.json")).unwrap();
        let mut open_count = 0;
        for (text, owners) in &vectors {
            // The table knows more than the shapes of the vectors (regions, how common a format is), so a few are
            // decided; none is given to a country that does not have it.
            match open.country(text, &formats) {
                None => open_count += 1,
                Some(country) => assert!(owners.iter().any(|o| o.starts_with(&country)), "{text} {country}"),
            }
        }
        assert!(open_count >= vectors.len() / 2, "{open_count} of {}", vectors.len());
        let site = |list: &[&str]| {
            Expectation::new(&list.iter().map(|c| (*c).to_owned()).collect::<Vec<_>>(), &formats).unwrap()
        };
        assert_eq!(site(&["KZ"]).country("123AB02", &formats).as_deref(), Some("KZ"));
        assert_eq!(site(&["AM"]).country("123AB02", &formats).as_deref(), Some("AM"));
        assert_eq!(site(&["KZ", "AM"]).country("123AB02", &formats), None);
        assert_eq!(site(&["RU", "KZ"]).country("A123BC77", &formats).as_deref(), Some("RU"));
        assert_eq!(site(&["RU"]).country("", &formats), None);
    }

    #[test]
    fn a_code_that_is_not_in_use_pays_and_excludes_nothing() {
        let formats = Formats::builtin().unwrap();
        let prior = |country: &str, text: &str| {
            let site = Expectation::new(&[country.to_owned()], &formats).unwrap();
            let own = formats.shapes().iter().filter(|shape| shape.matches(text));
            own.map(|shape| site.prior_of(shape, text)).fold(f32::MIN, f32::max)
        };
        for (country, known, strange) in [
            ("RU", "A123BC777", "A123BC778"),
            ("RU", "AB1234190", "AB1234191"),
            ("KZ", "123ABC20", "123ABC21"),
            ("UA", "AA1234BB", "IT1234BB"),
            ("PL", "KOL12345", "KQL12345"),
            ("SK", "RK123AB", "RX123AB"),
            ("UZ", "01A123BC", "02A123BC"),
        ] {
            let lost = prior(country, known) - prior(country, strange);
            assert!((lost - STRANGE).abs() < 1e-6, "{country} {known} {strange}: {lost}");
            let site = Expectation::new(&[country.to_owned()], &formats).unwrap();
            assert_eq!(site.country(known, &formats).as_deref(), Some(country), "{known}");
        }
    }

    #[test]
    fn every_row_and_list_names_where_it_was_checked() {
        let table = include_str!("formats.toml");
        let bad = table.replacen("source = \"kz\"", "source = \"hearsay\"", 1);
        let error = Formats::parse(&bad).unwrap_err().to_string();
        assert!(error.contains("no source `hearsay`"), "{error}");
        assert!(Formats::parse(&table.replacen("source = \"kz\"\n", "", 1)).is_err());
        // what could not be checked says so, and the README names it
        let readme = include_str!("../../README.md").split_whitespace().collect::<Vec<_>>().join(" ");
        let table: Table = toml::from_str(table).unwrap();
        let open = |source: &String| table.sources[source].contains("not verified");
        for row in table.format.iter().filter(|row| open(&row.source)) {
            assert!(
                readme.contains(&format!("{} {}", row.country, row.kind)),
                "{} {}",
                row.country,
                row.kind
            );
        }
        let used: BTreeSet<&String> =
            table.format.iter().map(|f| &f.source).chain(table.codes.values().map(|c| &c.source)).collect();
        assert_eq!(used.len(), table.sources.len(), "a source that nothing names");
    }

    #[test]
    fn texts_of_formats_that_were_checked_late_have_their_country() {
        let formats = Formats::builtin().unwrap();
        for (country, text) in [
            ("UA", "DI1234AA"),
            ("UA", "PD1234AA"),
            ("UA", "EX1234AA"),
            ("UA", "CM1234AA"),
            ("TM", "AB1234MR"),
            ("SK", "AA123BC"),
            ("PL", "XD12345"),
            ("PL", "ZZ12345"),
            ("GE", "AB123C"),
            ("AM", "1234AB"),
        ] {
            let site = Expectation::new(&[country.to_owned()], &formats).unwrap();
            assert_eq!(site.country(text, &formats).as_deref(), Some(country), "{text}");
            let shapes = formats.shapes().iter().filter(|shape| shape.matches(text));
            let prior = shapes.map(|shape| site.prior_of(shape, text)).fold(f32::MIN, f32::max);
            assert!(prior > -STRANGE, "{text} {prior}: its code is in use");
        }
    }

    #[test]
    fn an_unknown_country_is_refused_with_the_list() {
        let formats = Formats::builtin().unwrap();
        let error = Expectation::new(&["XX".into()], &formats).unwrap_err().to_string();
        assert!(error.contains("`XX`") && error.contains("KZ"), "{error}");
    }
}
