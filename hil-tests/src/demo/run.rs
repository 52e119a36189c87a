//! A run from its beginning to its end.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use passage::Verdict;
use tokio::net::TcpStream;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{broadcast, mpsc};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::children::{Daemon, Installed};
use super::devices::LaneDevices;
use super::drive::{drive_lane, now};
use super::live::{Traffic, head, is_ended};
use super::options::{Options, Part};
use super::site::{Places, lane_names, names, site_file};
use super::table::{is_undone, verdict};
use super::vehicle::{Vehicle, vehicles};
use crate::broker::{Broker, Settings, checkpoint_access};
use crate::certificates::{Certificates, Party};
use crate::consumer::{Consumer, ConsumerConfig, Report, StoredEvent, TlsFiles};
use crate::peer::{free_port, repository};
use crate::scene::{Photos, default_directories};
use crate::sim::camera::RtspServer;

/// Name of the consumer's certificate.
const CONSUMER: &str = "iispp";
/// A folder with this file may be emptied.
const MARK: &str = ".checkpoint-demo";
/// How long every sensor may take to answer.
const START: Duration = Duration::from_secs(90);
/// How long the end may take: the last packets closed and confirmed.
const END: Duration = Duration::from_secs(120);
/// The end is not waited for when nothing has changed for so long.
const STANDSTILL: Duration = Duration::from_secs(40);
/// How long the daemon runs on when all is done.
const AFTER: Duration = Duration::from_secs(3);
/// How long the broker stays away.
const BROKER_AWAY: Duration = Duration::from_secs(3);

/// Runs the demo.
pub fn run(options: &Options) -> ExitCode {
    match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => {
            let code = runtime.block_on(until_interrupted(options));
            runtime.shutdown_timeout(Duration::from_secs(2));
            code
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Whatever ends the run, everything that was started is dropped here, and so ends.
async fn until_interrupted(options: &Options) -> ExitCode {
    let ended = tokio::select! {
        ended = checkpoint(options) => ended,
        signalled = signalled() => {
            if let Err(error) = signalled {
                eprintln!("error: {error:#}");
            }
            println!("\ninterrupted; everything that was started is ended");
            return ExitCode::from(130);
        }
    };
    match ended {
        Ok(failures) if failures.is_empty() => ExitCode::SUCCESS,
        Ok(failures) => {
            eprintln!();
            failures.iter().for_each(|failure| eprintln!("not as it must be: {failure}"));
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("\nerror: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Waits for Ctrl-C, SIGTERM or SIGHUP.
async fn signalled() -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted?,
        _ = terminate.recv() => {}
        _ = hang_up.recv() => {}
    }
    Ok(())
}

fn say(part: &str, what: &str) {
    println!("  {part:<10} {what}");
}

/// Everything that runs. Fields end in this order: who needs another comes before it.
struct Checkpoint {
    daemon: Daemon,
    consumer: Consumer,
    broker: Broker,
    cameras: Arc<RtspServer>,
    lanes: Vec<Arc<LaneDevices>>,
    installed: Installed,
    site: PathBuf,
    work: PathBuf,
    metrics_port: u16,
}

/// The run. Gives what was not as it must be.
async fn checkpoint(options: &Options) -> anyhow::Result<Vec<String>> {
    let installed = Installed::find()?;
    let work = empty_folder(&options.work())?;
    let photos = photos(options)?;
    let count = usize::try_from(options.vehicles)?;
    let lane_names = lane_names(usize::try_from(options.lanes)?);
    let list = vehicles(options.seed, count, lane_names.len(), &photos);
    let photographed = count.min(photos.choose(options.seed, count).len());

    println!("a checkpoint with {} lanes and {count} vehicles, in {}", lane_names.len(), work.display());
    let pictures = match (photographed, count - photographed) {
        (0, drawn) => format!("{drawn} rendered scenes"),
        (shown, 0) => format!("{shown} photographs"),
        (shown, drawn) => format!("{shown} photographs, {drawn} rendered scenes"),
    };
    let mut checkpoint = start(options, installed, work, &lane_names, &pictures).await?;

    println!("\n{}", head());
    let begin = Instant::now();
    let mut traffic = Traffic::new(&list, &lane_names);
    drive(options, &mut checkpoint, &mut traffic, list).await?;
    let driven = begin.elapsed();
    println!(
        "      -- all vehicles have left after {:.0} s; waiting for the last packets",
        driven.as_secs_f64()
    );
    wait_for_the_end(&mut checkpoint, &mut traffic).await?;

    if options.keep {
        println!("\nleft running; Ctrl-C ends it");
        println!("  metrics    http://127.0.0.1:{}/metrics", checkpoint.metrics_port);
        println!(
            "  broker     mqtts://127.0.0.1:{} (certificates in {})",
            checkpoint.broker.port,
            checkpoint.work.join("certificates").display()
        );
        println!("  site file  {}", checkpoint.site.display());
        println!("  consumer   {}", checkpoint.work.join("iispp.sqlite").display());
        for lane in &checkpoint.lanes {
            println!("  video      {}", checkpoint.cameras.url(&lane.camera));
        }
        std::future::pending::<()>().await;
    }
    finish(checkpoint, &traffic).await
}

/// Ends the daemon in order, replays its journal and sums up.
async fn finish(mut checkpoint: Checkpoint, traffic: &Traffic) -> anyhow::Result<Vec<String>> {
    let ended = now();
    checkpoint.daemon.stop().await?;
    let report = checkpoint.consumer.report().await?;
    let packets = checkpoint.consumer.packets().await?;
    let Checkpoint { installed, site, work, .. } = &checkpoint;
    let storage = work.join("state");
    let replayed =
        super::replay::replay(&installed.edge_agent, site, &storage, work, &report.passages, ended)?;
    let verdict = verdict(traffic, &report, &packets, &replayed);
    println!("\n{}", verdict.text);
    checkpoint.consumer.stop().await?;
    Ok(verdict.failures)
}

/// The folder of a run, empty.
fn empty_folder(folder: &Path) -> anyhow::Result<PathBuf> {
    if folder.exists() {
        let empty = std::fs::read_dir(folder)
            .with_context(|| format!("{} is not a folder", folder.display()))?
            .next()
            .is_none();
        ensure!(
            empty || folder.join(MARK).exists(),
            "{} holds other things than a demo and would be emptied: choose another --work",
            folder.display()
        );
        std::fs::remove_dir_all(folder).with_context(|| format!("failed to empty {}", folder.display()))?;
    }
    std::fs::create_dir_all(folder).with_context(|| format!("failed to make {}", folder.display()))?;
    std::fs::write(folder.join(MARK), "made by checkpoint-demo, which empties it at its start\n")?;
    Ok(folder.canonicalize()?)
}

fn photos(options: &Options) -> anyhow::Result<Photos> {
    match (options.rendered, options.photos.as_slice()) {
        (true, _) => Ok(Photos::default()),
        (false, []) => Photos::open(&default_directories()),
        (false, folders) => Photos::open(folders),
    }
}

async fn start(
    options: &Options,
    installed: Installed,
    work: PathBuf,
    lane_names: &[String],
    pictures: &str,
) -> anyhow::Result<Checkpoint> {
    let example = repository().join("firmware-config/examples/demo.toml").canonicalize()?;
    let text =
        std::fs::read_to_string(&example).with_context(|| format!("failed to read {}", example.display()))?;
    let (site_name, box_name) = names(&text)?;

    let certificates = Certificates::new(&work.join("certificates"))?;
    let own = certificates.client(&box_name)?;
    let consumer_files = certificates.client(CONSUMER)?;
    let settings = Settings {
        tls: Some(certificates.broker()),
        access: Some(checkpoint_access(&site_name, &[&box_name], CONSUMER)),
        ..Settings::default()
    };
    let broker = Broker::start(&work.join("broker"), &settings).await?;
    say("broker", &format!("mosquitto on 127.0.0.1:{}, TLS, a certificate for each party", broker.port));

    let consumer = start_consumer(broker.port, consumer_files, &work).await?;
    say("IISPP", "the reference consumer: stores, confirms, decides `release`");

    let mut lanes = Vec::new();
    for (index, name) in lane_names.iter().enumerate() {
        lanes.push(LaneDevices::start(name, index, options.seed).await?);
    }
    let cameras: Vec<&str> = lanes.iter().map(|lane| lane.camera.as_str()).collect();
    let cameras = Arc::new(RtspServer::start(&cameras).await?);
    for lane in &mut lanes {
        lane.camera_url = cameras.url(&lane.camera);
    }
    say("devices", "in each lane: loops, barrier and lights (Modbus), RFID (LLRP), radiation portal (TSA),");
    say("", "scale (Tenso-M on TCP, Toledo on a pty), seals (EGTS)");
    say("cameras", &format!("{} (H.264 over RTSP): {pictures}", cameras.url("<camera>")));

    let metrics_port = free_port()?;
    let places = Places {
        broker_port: broker.port,
        tls: [&own.ca, &own.certificate, &own.key],
        storage: &work.join("state"),
        runtime: &installed.runtime,
        models: &installed.models,
        metrics_port,
    };
    let site = work.join("site.toml");
    std::fs::write(&site, site_file(&text, &lanes, &places)?)?;
    say("site file", &format!("{} (from firmware-config/examples/demo.toml)", site.display()));
    let log = work.join("edge-agent.log");
    let daemon = Daemon::start(&installed.edge_agent, &site, &log, metrics_port)?;
    say("edge-agent", &format!("its log is {}", log.display()));

    let lanes = lanes.into_iter().map(Arc::new).collect();
    let mut checkpoint =
        Checkpoint { daemon, consumer, broker, cameras, lanes, installed, site, work, metrics_port };
    let begin = Instant::now();
    wait_until_online(&mut checkpoint).await?;
    say("ready", &format!("every sensor answers after {:.1} s", begin.elapsed().as_secs_f64()));
    Ok(checkpoint)
}

async fn start_consumer(port: u16, files: Party, work: &Path) -> anyhow::Result<Consumer> {
    // A second installation fails, and the first one stays in force.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let consumer = Consumer::start(ConsumerConfig {
        host: "127.0.0.1".to_owned(),
        port,
        tls: Some(TlsFiles { ca: files.ca, cert: files.certificate, key: files.key }),
        client_id: CONSUMER.to_owned(),
        database: work.join("iispp.sqlite"),
        decide: Some(Verdict::Release),
    })?;
    tokio::time::timeout(Duration::from_secs(15), consumer.ready())
        .await
        .context("the consumer found no connection to the broker")??;
    Ok(consumer)
}

async fn wait_until_online(checkpoint: &mut Checkpoint) -> anyhow::Result<()> {
    // Seals are online when one of them speaks; until then it is enough that the daemon listens for them.
    let classes = ["loop-", "camera-", "rfid-", "portal-", "scale-", "gate-"];
    let sensors =
        checkpoint.lanes.iter().flat_map(|lane| classes.map(|class| format!("{class}{}", lane.name)));
    let sensors: Vec<String> = sensors.collect();
    let end = Instant::now() + START;
    loop {
        checkpoint.daemon.check()?;
        let mut silent = vec!["its metrics page"];
        if let Some(metrics) = checkpoint.daemon.metrics().await {
            let down = sensors.iter().filter(|sensor| metrics.sensor_up(sensor) != Some(true));
            silent = down.map(String::as_str).collect();
            if metrics.value("edge_agent_uplink_connected") != Some(1.0) {
                silent.push("the uplink");
            }
        }
        for lane in &checkpoint.lanes {
            if silent.is_empty() && TcpStream::connect(lane.seals).await.is_err() {
                silent.push("a listener for seals");
            }
        }
        if silent.is_empty() {
            return Ok(());
        }
        if Instant::now() > end {
            let log = checkpoint.daemon.tail();
            bail!(
                "still not there after {START:?}: {}; the daemon's log ends with\n{log}",
                silent.join(", ")
            );
        }
        sleep(Duration::from_millis(250)).await;
    }
}

/// Drives all vehicles, shows what becomes of them, and kills what shall be killed.
async fn drive(
    options: &Options,
    checkpoint: &mut Checkpoint,
    traffic: &mut Traffic,
    list: Vec<Vehicle>,
) -> anyhow::Result<()> {
    let (moment_sender, mut moments) = mpsc::channel(256);
    let mut lanes = JoinSet::new();
    for (index, lane) in checkpoint.lanes.iter().enumerate() {
        let own: Vec<Vehicle> = list.iter().filter(|vehicle| vehicle.lane == index).cloned().collect();
        lanes.spawn(drive_lane(lane.clone(), checkpoint.cameras.clone(), own, moment_sender.clone()));
    }
    drop(moment_sender);
    let mut events = checkpoint.consumer.subscribe_events();
    let mut health = interval(Duration::from_secs(1));
    health.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut kills = options.kill.clone();
    kills.sort_by_key(|part| *part == Part::Daemon);
    kills.dedup();
    let mut broker_back = None;
    let mut driving = true;
    while driving {
        tokio::select! {
            moment = moments.recv() => match moment {
                Some(moment) => traffic.note(moment),
                None => driving = false,
            },
            event = events.recv() => show(traffic, event),
            _ = health.tick() => checkpoint.daemon.check()?,
            () = at(broker_back) => {
                broker_back = None;
                checkpoint.broker.start_again().await?;
                println!("      -- the broker is back");
            }
            ended = lanes.join_next(), if !lanes.is_empty() => if let Some(ended) = ended { ended?? },
        }
        if let Some(&part) = kills.first()
            && traffic.entered() >= threshold(part, traffic.0.len())
        {
            kills.remove(0);
            match part {
                Part::Broker => {
                    checkpoint.broker.kill();
                    checkpoint.broker.forget()?;
                    broker_back = Some(tokio::time::Instant::now() + BROKER_AWAY);
                    println!("      -- broker killed (-9), its sessions lost; back in 3 s");
                }
                Part::Daemon => {
                    checkpoint.daemon.kill();
                    checkpoint.daemon.start_again()?;
                    println!("      -- edge-agent killed (-9) and started again");
                }
            }
        }
    }
    if broker_back.is_some() {
        checkpoint.broker.start_again().await?;
    }
    // What was stored meanwhile.
    while let Ok(event) = events.try_recv() {
        show(traffic, Ok(event));
    }
    Ok(())
}

/// After how many vehicles a part is killed.
fn threshold(part: Part, vehicles: usize) -> usize {
    match part {
        Part::Broker => vehicles.div_ceil(3),
        Part::Daemon => (2 * vehicles).div_ceil(3),
    }
}

async fn at(time: Option<tokio::time::Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}

fn show(traffic: &mut Traffic, event: Result<StoredEvent, broadcast::error::RecvError>) {
    // A line that was missed is only a line: the table counts from the consumer's database.
    if let Ok(StoredEvent { packet: Some(packet), .. }) = event
        && let Some(line) = traffic.line(&packet, false)
    {
        println!("{line}");
    }
}

/// The lines that are not shown yet; with `now` also of passages that go on.
fn show_all(traffic: &mut Traffic, report: &Report, now: bool) {
    let lines = report.passages.iter().filter_map(|line| traffic.line(&line.packet, now));
    lines.for_each(|line| println!("{line}"));
}

/// Waits until every passage is closed and everything is confirmed, or nothing changes any more.
async fn wait_for_the_end(checkpoint: &mut Checkpoint, traffic: &mut Traffic) -> anyhow::Result<()> {
    let end = Instant::now() + END;
    let mut last = (String::new(), Instant::now());
    loop {
        checkpoint.daemon.check()?;
        let report = checkpoint.consumer.report().await?;
        show_all(traffic, &report, false);
        let open = report.passages.iter().filter(|line| !is_ended(line.packet.state)).count();
        let metrics = checkpoint.daemon.metrics().await.unwrap_or_default();
        let waiting = metrics.value("edge_agent_outbox_events");
        let undone = report.passages.iter().filter(|line| is_undone(line)).count();
        if open + undone == 0 && waiting == Some(0.0) && report.summary.lost == 0 {
            // The last barrier is still closing.
            sleep(AFTER).await;
            return Ok(());
        }
        let state = format!(
            "{open} passages open, {undone} decisions not carried out, {} messages not confirmed, {} missing at the IISPP",
            waiting.map_or_else(|| "?".to_owned(), |waiting| waiting.to_string()),
            report.summary.lost
        );
        let now = Instant::now();
        if last.0 != state {
            last = (state, now);
        }
        if now > end || now.duration_since(last.1) > STANDSTILL {
            show_all(traffic, &report, true);
            println!("      -- not waited for any longer: {}", last.0);
            return Ok(());
        }
        sleep(Duration::from_millis(500)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_of_other_things_is_never_emptied() {
        let folder = tempfile::tempdir().unwrap();
        let run = folder.path().join("run");
        empty_folder(&run).unwrap();
        std::fs::write(run.join("old"), "").unwrap();
        empty_folder(&run).unwrap();
        assert!(!run.join("old").exists());
        std::fs::write(folder.path().join("precious"), "").unwrap();
        let refused = empty_folder(folder.path()).unwrap_err();
        assert!(refused.to_string().contains("--work"), "{refused}");
        assert!(folder.path().join("precious").exists());
    }
}
