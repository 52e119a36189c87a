//! Container codes: rendered walls through the reader, and through the daemon from a folder camera into the packet.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use hil_tests::peer::{Peer, free_port, repository, wait_until};
use hil_tests::scene::{CodeLayout, ContainerText, render_container};
use models::{CheckDigit, ContainerOptions, ContainerReader, Manifest, ModelStore, Picture, Runtime};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const LIMIT: Duration = Duration::from_secs(120);

/// ONNX Runtime and the folder of models, or none with a note when set-up has not fetched them.
fn files() -> Option<(PathBuf, PathBuf)> {
    let local = repository().join(".local");
    let library = local.join("lib").join(&Manifest::builtin().unwrap().library_here()?.file);
    let models = local.join("models");
    if !library.exists() || !models.join("PP-OCRv6_rec_small.onnx").exists() {
        println!("skipped: no models in {} (cargo xtask setup fetches them)", local.display());
        return None;
    }
    Some((library.canonicalize().unwrap(), models.canonicalize().unwrap()))
}

fn text(code: &str, type_code: &str, layout: CodeLayout) -> ContainerText {
    ContainerText { code: code.into(), type_code: type_code.into(), layout }
}

#[test]
fn rendered_codes_are_read_in_every_layout_and_a_missing_check_digit_is_never_certain() {
    let Some((library, models)) = files() else { return };
    let runtime = Runtime::load(&library).unwrap();
    let store = ModelStore::open(&models, Manifest::builtin().unwrap()).unwrap();
    let mut reader = ContainerReader::load(&runtime, &store, ContainerOptions::default()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    for (seed, layout) in
        (1..).zip([CodeLayout::Line, CodeLayout::Lines, CodeLayout::Column, CodeLayout::NoCheckDigit])
    {
        let file = folder.path().join("wall.png");
        render_container(&text("TEMU9545687", "45R1", layout), seed).unwrap().write(&file).unwrap();
        let reads = reader.read(&Picture::open(&file).unwrap()).unwrap();
        assert_eq!(reads.len(), 1, "{layout:?}: {reads:?}");
        let read = &reads[0];
        assert_eq!(read.code, "TEMU9545687", "{layout:?}: {read:?}");
        // A column of four signs is too short for the text finder: such a type code is absent, never guessed.
        assert!(
            read.type_code.is_none() || read.type_code.as_deref() == Some("45R1"),
            "{layout:?}: {read:?}"
        );
        assert!(read.type_code.is_some() || layout == CodeLayout::Column, "{layout:?}: {read:?}");
        if layout == CodeLayout::NoCheckDigit {
            assert!(read.check_digit == CheckDigit::Recomputed && !read.certain, "{read:?}");
        } else {
            assert!(matches!(read.check_digit, CheckDigit::Read | CheckDigit::Joined), "{read:?}");
        }
    }
}

async fn metrics(port: u16) -> String {
    let mut text = String::new();
    if let Ok(mut stream) = tokio::net::TcpStream::connect(("127.0.0.1", port)).await {
        let _ = stream.write_all(b"GET /metrics HTTP/1.0\r\nHost: localhost\r\n\r\n").await;
        let _ = stream.read_to_string(&mut text).await;
    }
    text
}

/// A picture in the folder of a camera that reads containers: code, type code and origin of the check digit are in the
/// packet.
#[tokio::test(flavor = "multi_thread")]
async fn a_picture_of_a_container_becomes_a_packet_with_its_code() {
    let Some((library, models)) = files() else { return };
    let program = std::env::current_exe().unwrap().parent().unwrap().parent().unwrap().join("edge-agent");
    assert!(program.exists(), "{} is missing: run `cargo build -p edge-agent`", program.display());
    let folder = tempfile::tempdir().unwrap();
    let pictures = folder.path().join("pictures");
    std::fs::create_dir(&pictures).unwrap();
    let port = free_port().unwrap();
    let site = folder.path().join("site.toml");
    let file = format!(
        r#"
[site]
id = "S"
box = "b"
[[lane]]
id = "in-1"
direction = "in"
[[lane.station]]
id = "entry"
position_m = 0.0
required = ["container"]
[[sensor]]
id = "codes"
station = "in-1/entry"
protocol = "camera/folder"
path = "{pictures}"
reads = ["container"]
[recognition]
runtime = "{library}"
models = "{models}"
[storage]
directory = "store"
[status]
listen = "127.0.0.1:{port}"
"#,
        pictures = pictures.display(),
        library = library.display(),
        models = models.display(),
    );
    std::fs::write(&site, file).unwrap();
    let log = folder.path().join("log");
    let mut command = Command::new(&program);
    command.arg("run").arg(&site).current_dir(folder.path());
    command.stderr(Stdio::from(std::fs::File::create(&log).unwrap()));
    let mut daemon = Peer::spawn(&mut command).unwrap();

    let wall = render_container(&text("TEMU9545687", "45R1", CodeLayout::Line), 1).unwrap();
    wall.write(&folder.path().join("wall.png")).unwrap();
    std::fs::rename(folder.path().join("wall.png"), pictures.join("wall.png")).unwrap();
    let told = "edge_agent_events_total{kind=\"packet\"}";
    let seen = wait_until(told, LIMIT, async || metrics(port).await.contains(told)).await;
    if let Err(error) = seen {
        panic!("{error}\n{}\n{}", metrics(port).await, std::fs::read_to_string(&log).unwrap_or_default());
    }
    let id = nix::unistd::Pid::from_raw(i32::try_from(daemon.0.id()).unwrap());
    nix::sys::signal::kill(id, nix::sys::signal::Signal::SIGTERM).unwrap();
    assert!(daemon.0.wait().unwrap().success());

    let output =
        Command::new(&program).arg("outbox").arg(&site).arg("export").current_dir(folder.path()).output();
    let events = String::from_utf8(output.unwrap().stdout).unwrap();
    let packet = events
        .lines()
        .filter_map(|line| {
            let event: serde_json::Value = serde_json::from_str(line).ok()?;
            serde_json::from_str::<serde_json::Value>(event["payload"].as_str()?).ok()
        })
        .map(|event| event["data"].clone())
        .rfind(|data| data.get("passage_id").is_some())
        .expect("a packet");
    let container = &packet["containers"]["value"][0];
    assert_eq!(container["code"], "TEMU9545687", "{packet:#}");
    assert_eq!(container["type_code"], "45R1", "{packet:#}");
    assert_eq!(container["check_digit"], "read", "{packet:#}");
    assert!(!packet["evidence"].as_array().unwrap().is_empty(), "{packet:#}");
}
