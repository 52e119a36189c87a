//! Whole site files: good ones, bad ones with their exact messages, and arbitrary ones.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod common;

use std::path::{Path, PathBuf};

use common::CATALOGUE;
use firmware_config::{FileReference, Problems, Severity, Site, explain, load, schema};
use proptest::prelude::*;

/// A file with nothing but a warning; the tests below put problems into it.
const GOOD: &str = include_str!("golden/good.toml");

fn check(text: &str) -> Result<Site, Problems> {
    load(text, Path::new("site.toml"), CATALOGUE)
}

/// Every message with its place, without the excerpt.
fn messages(text: &str) -> Vec<String> {
    let problems = match check(text) {
        Ok(site) => site.warnings,
        Err(problems) => problems.0,
    };
    problems
        .into_iter()
        .map(|it| format!("{}:{}: {}: {}", it.line, it.column, it.severity, it.message))
        .collect()
}

/// `GOOD` with each `from` replaced by `to`.
fn changed(changes: &[(&str, &str)]) -> String {
    changes.iter().fold(GOOD.to_owned(), |text, (from, to)| {
        assert_eq!(text.matches(from).count(), 1, "{from:?} must stand once in the good file");
        text.replace(from, to)
    })
}

/// Compares with a checked-in file; `BLESS=1` writes it.
fn golden(name: &str, got: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&file, got).unwrap();
    }
    let expected = std::fs::read_to_string(&file).unwrap();
    assert_eq!(got, expected, "{name} differs; BLESS=1 writes it anew");
}

#[test]
fn the_complete_report_of_a_bad_file() {
    golden("bad.txt", &check(include_str!("golden/bad.toml")).unwrap_err().to_string());
}

#[test]
fn the_complete_explanation_of_a_good_file() {
    let site = check(GOOD).unwrap();
    let warnings: String = site.warnings.iter().map(|warning| format!("{warning}\n\n")).collect();
    golden("good.txt", &(warnings + &explain(&site)));
}

#[test]
fn a_good_file_gives_its_parts() {
    let site = check(GOOD).unwrap();
    assert_eq!((site.site.id.as_str(), site.site.box_id.as_str()), ("RU10702030", "gw-1"));
    assert_eq!(site.sha256, interface::Sha256::of(GOOD.as_bytes()));
    let lane = &site.lanes[0];
    let deadlines: Vec<_> = lane.stations.iter().map(|station| station.deadline_ms()).collect();
    assert_eq!(deadlines, [60_000, 90_000, 60_000]);
    let sensor = &site.sensors[2];
    assert_eq!(
        (sensor.id.0.as_str(), sensor.lane.as_str(), sensor.station.as_str()),
        ("scale-in-1", "in-1", "scale")
    );
    assert_eq!(sensor.protocol, "scale");
    assert_eq!(GOOD.lines().nth(sensor.line - 1), Some("[[sensor]]"));
    assert_eq!((site.timing.gather_ms, site.timing.expiry_s), (500, 1800));
    assert_eq!((site.storage.journal_max_mib, site.storage.outbox_max_mib), (100, 2048));
    assert_eq!(site.storage.directory, PathBuf::from("/var/lib/edge-agent"));
}

#[test]
fn the_smallest_file() {
    let site = check(
        "[site]\nid='a'\nbox='b'\n[[lane]]\nid='l'\ndirection='out'\n[[lane.station]]\nid='s'\nposition_m=0\n",
    );
    let site = site.unwrap();
    assert!(site.iispp.is_none() && site.recognition.is_none());
    assert_eq!(site.warnings.len(), 1);
    assert_eq!(site.warnings[0].message, "there is no [[sensor]]: nothing will be seen");
    assert_eq!(site.status.listen.to_string(), "127.0.0.1:9464");
}

/// Changes to the good file and every message that must come of them, besides the good file's own warning.
type Case = (&'static [(&'static str, &'static str)], &'static [&'static str]);

const NO_RECOGNITION: &str = "a camera, but there is no [recognition]: its pictures are not read";

const CASES: &[Case] = &[
    // Not TOML at all: one error.
    (
        &[("box = \"gw-1\"", "box = gw-1")],
        &["4:7: error: not valid TOML: string values must be quoted, expected literal string"],
    ),
    (&[("box = \"gw-1\"", "id = \"gw-1\"")], &["4:1: error: not valid TOML: duplicate key"]),
    // Several in one table, in the parts of it that the schema and the protocol know.
    (
        &[("address = \"10.0.0.8:5084\"", "adress = 5084\naddress = \"10.0.0.8\""), ("[1, 2]", "[1, -2]")],
        &[
            "35:1: error: sensor \"rfid-in-1\": unknown key `adress`, did you mean `address`? allowed: address, antennas, power_dbm",
            "36:11: error: sensor \"rfid-in-1\": `address`: expected host:port, got \"10.0.0.8\"",
            "37:16: error: sensor \"rfid-in-1\": `antennas[1]`: -2 is out of range, allowed: 0 to 65535",
        ],
    ),
    // Wrong places and names: all of them at once.
    (
        &[
            ("\"in-1/scale\"", "\"in-1/scala\""),
            ("\"server\"", "\"serwer\""),
            ("id = \"seals\"", "id = \"rfid-in-1\""),
        ],
        &[
            "41:11: error: sensor \"scale-in-1\": unknown station \"in-1/scala\", did you mean \"in-1/scale\"? known: in-1/entry, in-1/scale, in-1/exit",
            "47:6: error: sensor \"rfid-in-1\": the id is already used in line 32; every sensor needs its own",
            "49:12: error: sensor \"rfid-in-1\": unknown protocol \"serwer\", did you mean \"server\"? known: reader, scale, camera, replay, server",
        ],
    ),
    (
        &[("id = \"exit\"", "id = \"entry\"")],
        &[
            "19:6: error: station \"in-1/entry\": the id is already used in line 10; every station of the lane needs its own",
            "48:11: error: sensor \"seals\": unknown station \"in-1/exit\"; known: in-1/entry, in-1/scale, in-1/entry",
        ],
    ),
    (
        &[("position_m = 40.0", "position_m = 24.5")],
        &[
            "20:14: error: station \"in-1/exit\": `position_m`: 24.5 m is not further than the station before it, 24.5 m (line 15); stations stand in driving order",
        ],
    ),
    (
        &[("position_m = 40.0", "position_m = nan")],
        &["20:14: error: station \"in-1/exit\": `position_m`: expected a finite number, got nan"],
    ),
    (
        &[("required = [\"weight\"]", "required = [\"weight\", \"radiation\"]")],
        &[
            "16:23: warning: station \"in-1/scale\": `required`: no sensor of this station gives radiation, so every packet of the lane would be incomplete",
        ],
    ),
    (
        &[("[[lane]]", "[lane]"), ("id = \"in-1\"\n", "id = \"in/1\"\n")],
        &["6:1: error: `lane`: expected a list, got a table; write [[lane]]"],
    ),
    // Claims.
    (
        &[("listen = \"0.0.0.0:20629\"", "listen = \"0.0.0.0:9464\"")],
        &[
            "46:1: error: sensor \"seals\": local address 0.0.0.0:9464 is already used by [status] (line 61); only one of the two can have it",
        ],
    ),
    (
        &[("port = \"/dev/ttyS0\"", "endpoint = \"10.0.0.8:5084\"")],
        &[
            "39:1: error: sensor \"scale-in-1\": device 10.0.0.8:5084 is already used by sensor \"rfid-in-1\" (line 31); only one of the two can have it",
        ],
    ),
    // A protocol's word about its whole table.
    (
        &[("port = \"/dev/ttyS0\"\n", "")],
        &["39:1: error: sensor \"scale-in-1\": expected either `port` or `endpoint`, not both"],
    ),
    (
        &[("kind = \"stream\"", "kind = \"strem\"")],
        &[
            "28:21: error: sensor \"lpr-in-1-front\": `pictures.kind`: got \"strem\", did you mean \"stream\"? allowed: folder, stream",
        ],
    ),
    // Secrets.
    (
        &[("rtsp://10.0.0.7/1", "rtsp://user:hunter2@10.0.0.7/1")],
        &[
            "28:37: error: sensor \"lpr-in-1-front\": `url`: an address with a password in it must not stand in the site file; leave `:password` out and give the password as a file or as a systemd credential",
        ],
    ),
    // What has no name is counted.
    (
        &[("id = \"seals\"\n", ""), ("id = \"exit\"", "id = 3")],
        &[
            "19:6: error: station number 3 of lane \"in-1\": `id`: expected a string, got 3",
            "46:1: error: sensor number 4: missing key `id`",
            "47:11: error: sensor number 4: unknown station \"in-1/exit\"; known: in-1/entry, in-1/scale",
        ],
    ),
    // The IISPP.
    (
        &[("insecure_plaintext = true\n", "")],
        &[
            "52:1: error: [iispp]: missing key `tls`: give [iispp.tls] with ca_file, certificate_file and key_file",
        ],
    ),
    (
        &[("host = \"localhost\"", "host = \"broker.example\"")],
        &[
            "55:22: error: [iispp]: `insecure_plaintext`: only allowed to a broker on this machine (localhost, 127.0.0.1, ::1), not to \"broker.example\"; give [iispp.tls]",
        ],
    ),
    (
        &[(
            "insecure_plaintext = true",
            "tls = { ca_file = \"none.pem\", certificate_file = \"/\", key_fil = \"k\" }",
        )],
        &[
            "55:7: error: [iispp]: missing key `tls.key_file`",
            "55:19: error: [iispp]: `tls.ca_file`: cannot read none.pem: No such file or directory (os error 2)",
            "55:50: error: [iispp]: `tls.certificate_file`: cannot read /: it is not a file",
            "55:55: error: [iispp]: unknown key `tls.key_fil`, did you mean `key_file`? allowed: ca_file, certificate_file, key_file",
        ],
    ),
    (
        &[(
            "insecure_plaintext = true",
            "tls = { ca_file = \"/dev/null/x\", certificate_file = \"credential:../k\", key_file = \"\" }",
        )],
        &[
            "55:19: error: [iispp]: `tls.ca_file`: cannot read /dev/null/x: Not a directory (os error 20)",
            "55:53: error: [iispp]: `tls.certificate_file`: \"../k\" is not the name of a credential, allowed: A-Z a-z 0-9 _ . -",
            "55:83: error: [iispp]: `tls.key_file`: must not be empty",
        ],
    ),
    // The rest.
    (
        &[("127.0.0.1:9464", "9464")],
        &["61:10: error: [status]: `listen`: expected address:port such as 127.0.0.1:9464, got \"9464\""],
    ),
    (
        &[("journal_max_mib = 100", "journal_max_mib = \"100\"\ndirectory = \"\"")],
        &[
            "58:19: error: [storage]: `journal_max_mib`: expected an integer, got \"100\"",
            "59:13: error: [storage]: `directory`: must not be empty",
        ],
    ),
    (
        &[("[timing]", "[recognition]\nruntime = \"no.so\"\nmodels = \"no\"\n[timing]")],
        &[
            "64:11: warning: [recognition]: `runtime`: cannot read no.so: No such file or directory (os error 2); nothing is read without it",
            "65:10: warning: [recognition]: `models`: cannot read no: No such file or directory (os error 2); nothing is read without it",
        ],
    ),
    (
        &[(
            "[timing]",
            "[recognition]\nruntime = \"/dev/null\"\nmodels = \"/\"\n[recognition.faces]\nkey_file = \"no.key\"\n\
             retention_days = 0\nthreshold_verify = 1.5\n[timing]",
        )],
        &[
            "64:11: warning: [recognition]: `runtime`: cannot read /dev/null: it is not a file; nothing is read without it",
            "67:12: warning: [recognition]: `faces.key_file`: cannot read no.key: No such file or directory (os error 2); no face is read without it, `edge-agent faces key FILE` makes one",
            "68:18: error: [recognition]: `faces.retention_days`: 0 is out of range, allowed: 1 to 3650",
            "69:20: error: [recognition]: `faces.threshold_verify`: 1.5 is out of range, allowed: 0 to 1",
        ],
    ),
];

#[test]
fn bad_files_and_their_messages() {
    for (changes, expected) in CASES {
        let mut got = messages(&changed(changes));
        got.retain(|message| !message.ends_with(NO_RECOGNITION));
        assert_eq!(got, *expected, "after {changes:?}");
    }
}

#[test]
fn an_empty_file_says_what_is_needed() {
    assert_eq!(messages(""), ["1:1: error: missing key `site`", "1:1: error: missing key `lane`"]);
}

#[test]
fn secrets_are_not_shown() {
    let text = changed(&[
        ("rtsp://10.0.0.7/1", "rtsp://user:hunter2@10.0.0.7/1"),
        ("view = \"front\"", "token = 'hunter2'"),
    ]);
    let shown = check(&text).unwrap_err().to_string();
    assert!(!shown.contains("hunter2"), "{shown}");
    let shown = check("[iispp]\npassword = hunter2\n").unwrap_err().to_string();
    assert!(shown.contains("not valid TOML") && !shown.contains("hunter2"), "{shown}");
}

#[test]
fn relative_paths_are_relative_to_the_site_file() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["ca.pem", "box.pem", "box.key"] {
        std::fs::write(folder.path().join(name), "").unwrap();
    }
    let tls = "tls = { ca_file = \"ca.pem\", certificate_file = \"box.pem\", key_file = \"box.key\" }";
    let text =
        changed(&[("insecure_plaintext = true", tls), ("[storage]", "[storage]\ndirectory = \"data\"")]);
    let site = load(&text, &folder.path().join("site.toml"), CATALOGUE).unwrap();
    assert_eq!(site.storage.directory, folder.path().join("data"));
    let tls = site.iispp.unwrap().tls.unwrap();
    assert_eq!(tls.key_file, FileReference::Path(folder.path().join("box.key")));
    let mask = folder.path().join("masks/front.png");
    assert!(site.sensors[0].plan.explain().contains(mask.to_str().unwrap()));
    let credential = changed(&[("masks/front.png", "credential:mask")]);
    let site = load(&credential, &folder.path().join("site.toml"), CATALOGUE).unwrap();
    assert!(site.sensors[0].plan.explain().ends_with("masked by credential:mask"));
}

#[test]
fn the_schema_accepts_what_the_check_accepts() {
    let schema = schema(CATALOGUE);
    let validator = jsonschema::draft202012::options().build(&schema).expect("the schema is a valid schema");
    let json = |text: &str| serde_json::to_value(toml::from_str::<toml::Table>(text).unwrap()).unwrap();
    let errors: Vec<_> = validator.iter_errors(&json(GOOD)).map(|error| error.to_string()).collect();
    assert!(errors.is_empty(), "{errors:?}");
    assert!(!validator.is_valid(&json(include_str!("golden/bad.toml"))));
    for (from, to) in [
        ("baud = 9600", "bauds = 9600"),
        ("protocol = \"scale\"", "protocol = \"reader\""),
        ("parity = \"even\"", "parity = \"evn\""),
        ("id = \"RU10702030\"", "id = \"a/b\""),
        ("gather_ms", "gather"),
    ] {
        assert!(!validator.is_valid(&json(&changed(&[(from, to)]))), "{to} must not fit");
    }
    golden("schema.json", &(serde_json::to_string_pretty(&schema).unwrap() + "\n"));
}

fn reports_inside_the_file(text: &str) {
    let problems = match check(text) {
        Ok(site) => {
            explain(&site);
            assert!(site.warnings.iter().all(|it| it.severity == Severity::Warning));
            site.warnings
        }
        Err(problems) => {
            assert!(problems.0.iter().any(|it| it.severity == Severity::Error));
            problems.0
        }
    };
    let lines = text.lines().count().max(1);
    for problem in problems {
        assert!((1..=lines).contains(&problem.line), "{problem} of {lines} lines");
        assert!(problem.column >= 1 && !problem.message.is_empty());
    }
}

#[test]
fn deep_nesting_does_not_exhaust_the_stack() {
    for text in [
        format!("{}=1", vec!["a"; 50_000].join(".")),
        format!("[{}]", vec!["a"; 50_000].join(".")),
        format!("a={}", "[".repeat(50_000)),
        format!("a={}", "{a=".repeat(50_000)),
    ] {
        reports_inside_the_file(&text);
    }
}

proptest! {
    #[test]
    fn no_text_panics(text in "\\PC{0,200}") {
        reports_inside_the_file(&text);
    }

    #[test]
    fn no_toml_like_text_panics(text in "([a-z]{1,3}|\\[\\[?sensor|lane\\.station\\]\\]?|site|=|\\.|\"|'|\\{|\\}|,|[0-9]{1,2}|\n|\r\n|inf|é|\t){0,60}") {
        reports_inside_the_file(&text);
    }

    #[test]
    fn no_mutated_file_panics(cut in 0..GOOD.len(), length in 0..40usize, put in "\\PC{0,6}|\n|\"|\\]|= 1|[0-9]{1,20}") {
        let end = (cut + length).min(GOOD.len());
        reports_inside_the_file(&format!("{}{put}{}", &GOOD[..cut], &GOOD[end..]));
    }

    #[test]
    fn no_wrong_value_panics(line in 0..GOOD.lines().count(), value in "(true|-1|1e400|99999999999999999999|inf|\\[\\]|\\{\\}|\"\"|\"x\"|2026-11-22|\\[\\[\\]\\]|\\{ a = 1 \\})") {
        let lines = GOOD.lines().enumerate().map(|(number, text)| match text.split_once('=') {
            Some((key, _)) if number == line => format!("{key}= {value}\n"),
            _ => format!("{text}\n"),
        });
        reports_inside_the_file(&lines.collect::<String>());
    }
}
