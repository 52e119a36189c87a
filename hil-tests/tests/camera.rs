//! The driver of RTSP cameras against GStreamer's server, and the scenes that it serves.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

use std::time::Duration;

use hil_tests::peer::local;
use hil_tests::scene::{PlateText, random_plate, render};
use hil_tests::sim::camera::RtspServer;
use interface::{ContextHandles, DriverContext, DriverFault, Frame, HealthState, Plan, Protocol, SensorId};
use models::{Manifest, ModelStore, Picture, PlateOptions, PlateReader, Runtime};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

/// For what must come, however slow the machine.
const LIMIT: Duration = Duration::from_secs(90);

/// Longer than a busy machine keeps a picture back.
const READ_TIMEOUT_S: u32 = 6;

/// Each server encodes video: side by side they starve each other on two cores, so that the tests take turns.
static TURN: Mutex<()> = Mutex::const_new(());

fn plan(url: &str, read_timeout_s: u32) -> Box<dyn Plan> {
    let parameters = format!(
        "url = '{url}'
view = 'front'
open_timeout_s = 30
read_timeout_s = {read_timeout_s}
frozen_after_s = 2"
    );
    camera::Rtsp.parse(toml::from_str(&parameters).unwrap()).unwrap()
}

fn run(url: &str) -> (JoinHandle<Result<(), DriverFault>>, ContextHandles) {
    let (readings, _) = mpsc::channel(1);
    let (context, handles) = DriverContext::new(SensorId::from("camera"), readings);
    (tokio::spawn(plan(url, READ_TIMEOUT_S).start().run(context)), handles)
}

async fn frame(handles: &ContextHandles) -> Frame {
    timeout(LIMIT, handles.frames.take()).await.expect("no picture")
}

/// Mean brightness of a part of the picture.
fn brightness(frame: &Frame, x: usize, y: usize) -> u32 {
    let width = frame.width as usize;
    let rows = frame.bgr.chunks(width * 3).skip(y).take(20);
    let bytes: Vec<u32> = rows.flat_map(|row| &row[x * 3..(x + 20) * 3]).map(|&byte| byte.into()).collect();
    bytes.iter().sum::<u32>() / bytes.len() as u32
}

/// The second on the clock in the picture, counted round 256.
fn shown_second(frame: &Frame) -> f64 {
    let at = |bit: usize| (24 * frame.width as usize + 20 + bit * 8 + 4) * 3;
    f64::from((0..8).fold(0u32, |second, bit| second * 2 + u32::from(frame.bgr[at(bit)] > 128)))
}

/// The same clock now: seconds since the start of the machine.
fn second_now() -> f64 {
    let uptime = std::fs::read_to_string("/proc/uptime").unwrap();
    uptime.split_whitespace().next().unwrap().parse::<f64>().unwrap() % 256.0
}

async fn fault(running: JoinHandle<Result<(), DriverFault>>) -> String {
    timeout(LIMIT, running).await.expect("no fault").unwrap().unwrap_err().0
}

#[tokio::test(flavor = "multi_thread")]
async fn pictures_arrive_and_a_frozen_one_is_a_fault() {
    let _turn = TURN.lock().await;
    let server = RtspServer::start(&["a", "b"]).await.unwrap();
    let (running, mut handles) = run(&server.url("a"));
    let empty = frame(&handles).await;
    assert_eq!((empty.width, empty.height), (1280, 960));
    handles.state.wait_for(|(state, _)| *state == HealthState::Online).await.unwrap();
    assert!(brightness(&empty, 640, 300) < 120, "the road is dark");

    let plate = PlateText { country: "RU", main: "A123BC".into(), region: "77".into() };
    let picture = server.prepare("lorry", &render(&plate, 1).unwrap()).unwrap();
    server.show("a", &picture).unwrap();
    let end = Instant::now() + LIMIT;
    while brightness(&frame(&handles).await, 740, 770) < 90 {
        assert!(Instant::now() < end, "the lorry never came into view");
    }

    server.freeze("a").unwrap();
    let begin = Instant::now();
    let said = fault(running).await;
    assert!(said.contains("frozen"), "{said}");
    assert!(begin.elapsed() < Duration::from_secs(15), "{:?}", begin.elapsed());
}

/// FFmpeg looks at the video for seconds before it gives the first frame: what was buffered meanwhile must not pass for new.
#[tokio::test(flavor = "multi_thread")]
async fn a_frame_says_when_it_was_taken_and_none_is_old() {
    let _turn = TURN.lock().await;
    let server = RtspServer::start(&["a"]).await.unwrap();
    // Somebody watched before, and was killed: the server's state is not that of a first look.
    let (before, handles) = run(&server.url("a"));
    frame(&handles).await;
    before.abort();
    let (_running, handles) = run(&server.url("a"));
    for number in 0..8 {
        let frame = frame(&handles).await;
        let age = frame.captured.elapsed().as_secs_f64();
        // The clock shows whole seconds, of the moment at which the frame was made.
        let off = (second_now() - age - shown_second(&frame) + 128.0).rem_euclid(256.0) - 128.0;
        assert!(
            (-0.5..1.8).contains(&off),
            "frame {number} is {age:.1} s old by its word, off by {off:.1} s"
        );
        assert!(age < 2.5, "frame {number} is {age:.1} s old");
    }
    assert!(handles.frames.count_too_old() > 0, "what was buffered was left out and counted");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_live_picture_of_an_empty_road_is_not_frozen() {
    let _turn = TURN.lock().await;
    let server = RtspServer::start(&["a"]).await.unwrap();
    let (running, handles) = run(&server.url("a"));
    frame(&handles).await;
    let watched = timeout(Duration::from_secs(6), running).await;
    assert!(watched.is_err(), "{watched:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stalled_stream_is_a_fault_within_the_read_timeout() {
    let _turn = TURN.lock().await;
    let server = RtspServer::start(&["a"]).await.unwrap();
    let (running, handles) = run(&server.url("a"));
    frame(&handles).await;
    server.stall("a").unwrap();
    let begin = Instant::now();
    let said = fault(running).await;
    assert!(said.contains("no picture"), "{said}");
    assert!(begin.elapsed() < 2 * Duration::from_secs(READ_TIMEOUT_S.into()), "{:?}", begin.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_dies_is_a_fault_and_pictures_come_again_after_its_restart() {
    let _turn = TURN.lock().await;
    let server = RtspServer::start(&["a"]).await.unwrap();
    let (port, url) = (server.port(), server.url("a"));
    let (running, handles) = run(&url);
    frame(&handles).await;
    drop(server);
    fault(running).await;
    let (refused, _handles) = run(&url);
    assert!(fault(refused).await.contains("no video"));

    let _server = RtspServer::start_on(port, &["a"]).await.unwrap();
    let (running, handles) = run(&url);
    frame(&handles).await;
    let report = timeout(LIMIT, plan(&url, 30).probe()).await.unwrap();
    assert!(report.ok && report.findings[0].contains("1280 x 960"), "{report:?}");
    handles.stop.cancel();
    timeout(LIMIT, running).await.unwrap().unwrap().unwrap();
}

/// Of the drawn plates most are read right: the demo without photographs shows more than empty fields.
#[test]
fn rendered_plates_are_drawn_so_that_they_can_be_read() {
    let _turn = TURN.blocking_lock();
    let manifest = Manifest::builtin().unwrap();
    let library = std::fs::read_dir(local().join("lib")).unwrap().next().unwrap().unwrap().path();
    let runtime = Runtime::load(&library).unwrap();
    let store = ModelStore::open(&local().join("models"), manifest).unwrap();
    let countries = vec!["RU".to_owned(), "KZ".to_owned()];
    let options = PlateOptions { countries, ..PlateOptions::default() };
    let mut reader = PlateReader::load(&runtime, &store, options).unwrap();
    let mut random = ChaCha8Rng::seed_from_u64(5);
    let mut wrong = Vec::new();
    for seed in 0..8 {
        let plate = random_plate(&mut random);
        let file = tempfile::Builder::new().suffix(".jpg").tempfile().unwrap();
        render(&plate, seed).unwrap().write(file.path()).unwrap();
        let reads = reader.read(&Picture::open(file.path()).unwrap()).unwrap();
        let read = reads.first().map(|read| read.text.clone());
        if read.as_deref() != Some(plate.text().as_str()) {
            wrong.push((plate.text(), read));
        }
    }
    assert!(wrong.len() <= 1, "{wrong:?}");
}
