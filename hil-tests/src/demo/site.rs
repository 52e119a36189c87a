//! The site file of a run: the example `demo.toml` with this run's addresses, ports and files, and as many lanes as are
//! wanted.

use std::path::Path;

use anyhow::{Context, ensure};
use toml_edit::{ArrayOfTables, DocumentMut, Item, Table, value};

use super::devices::LaneDevices;

/// What of a run stands in the site file, the devices aside.
#[derive(Debug)]
pub struct Places<'a> {
    /// Port of the broker.
    pub broker_port: u16,
    /// Certificate files: authority, the box's own, its key.
    pub tls: [&'a Path; 3],
    /// Folder for the daemon's state.
    pub storage: &'a Path,
    /// ONNX Runtime.
    pub runtime: &'a Path,
    /// Folder of the models.
    pub models: &'a Path,
    /// Port of the metrics page.
    pub metrics_port: u16,
}

/// Names of `count` lanes.
pub fn lane_names(count: usize) -> Vec<String> {
    (1..=count).map(|number| format!("in-{number}")).collect()
}

/// The site and box name of `example`.
pub fn names(example: &str) -> anyhow::Result<(String, String)> {
    let document: DocumentMut = example.parse().context("failed to read the example site file")?;
    let name = |key: &str| -> anyhow::Result<String> {
        let found = document.get("site").and_then(|site| site.get(key)).and_then(Item::as_str);
        Ok(found.with_context(|| format!("the example has no site.{key}"))?.to_owned())
    };
    Ok((name("id")?, name("box")?))
}

/// The text of the site file: `example` with what this run has put where.
pub fn site_file(example: &str, lanes: &[LaneDevices], places: &Places<'_>) -> anyhow::Result<String> {
    let mut document: DocumentMut = example.parse().context("failed to read the example site file")?;
    let names: Vec<String> = lanes.iter().map(|lane| lane.name.clone()).collect();
    fit_lanes(&mut document, &names)?;
    for sensor in tables(&mut document, "sensor")?.iter_mut() {
        let id = sensor.get("id").and_then(Item::as_str).unwrap_or_default().to_owned();
        let station = sensor.get("station").and_then(Item::as_str).unwrap_or_default().to_owned();
        let lane = lanes.iter().find(|lane| station.split('/').next() == Some(lane.name.as_str()));
        let lane = lane.with_context(|| format!("sensor {id} stands in no lane"))?;
        for (key, text) in lane.parameters(&id)? {
            // The two kinds of scale connection exclude each other.
            for other in ["address", "port", "url", "listen"] {
                if other != key {
                    sensor.remove(other);
                }
            }
            sensor.insert(key, value(text));
        }
    }
    let path = |path: &Path| value(path.display().to_string());
    let [ca, certificate, key] = places.tls;
    let settings = [
        ("iispp", "port", value(i64::from(places.broker_port))),
        ("storage", "directory", path(places.storage)),
        ("recognition", "runtime", path(places.runtime)),
        ("recognition", "models", path(places.models)),
        ("status", "listen", value(format!("127.0.0.1:{}", places.metrics_port))),
    ];
    for (section, key, item) in settings {
        set(document.get_mut(section), section, key, item)?;
    }
    for (name, file) in [("ca_file", ca), ("certificate_file", certificate), ("key_file", key)] {
        let tls = document.get_mut("iispp").and_then(|iispp| iispp.get_mut("tls"));
        set(tls, "iispp.tls", name, path(file))?;
    }
    Ok(document.to_string())
}

/// Replaces what is there; what is not there is a mistake in the example.
fn set(section: Option<&mut Item>, name: &str, key: &str, item: Item) -> anyhow::Result<()> {
    let table = section.and_then(Item::as_table_mut);
    let table = table.with_context(|| format!("the example has no [{name}]"))?;
    let old = table.get_mut(key).with_context(|| format!("the example has no {name}.{key}"))?;
    *old = item;
    Ok(())
}

fn tables<'a>(document: &'a mut DocumentMut, key: &str) -> anyhow::Result<&'a mut ArrayOfTables> {
    let tables = document.get_mut(key).and_then(Item::as_array_of_tables_mut);
    tables.with_context(|| format!("the example has no [[{key}]]"))
}

/// Drops lanes that are too many and copies the example's lanes in turn where there are too few.
fn fit_lanes(document: &mut DocumentMut, names: &[String]) -> anyhow::Result<()> {
    let lanes = tables(document, "lane")?.clone();
    let sensors = tables(document, "sensor")?.clone();
    let known: Vec<String> = lanes.iter().filter_map(|lane| text(lane, "id")).collect();
    ensure!(!known.is_empty(), "the example has no lane");
    let (mut new_lanes, mut new_sensors) = (ArrayOfTables::new(), ArrayOfTables::new());
    for (index, name) in names.iter().enumerate() {
        let model = known.get(index % known.len()).cloned().unwrap_or_default();
        for lane in lanes.iter().filter(|lane| text(lane, "id").as_ref() == Some(&model)) {
            let mut lane = lane.clone();
            lane.insert("id", value(name));
            new_lanes.push(lane);
        }
        let prefix = format!("{model}/");
        for sensor in sensors.iter() {
            let station = text(sensor, "station").unwrap_or_default();
            let Some(station) = station.strip_prefix(&prefix) else { continue };
            let id = text(sensor, "id").unwrap_or_default();
            let id = id.strip_suffix(&model).context("a sensor's name must end with its lane's")?;
            let mut sensor = sensor.clone();
            sensor.insert("id", value(format!("{id}{name}")));
            sensor.insert("station", value(format!("{name}/{station}")));
            new_sensors.push(sensor);
        }
    }
    // Positions order the tables in the text; copies would share those of their models.
    clear_positions(&mut new_lanes);
    clear_positions(&mut new_sensors);
    *tables(document, "lane")? = new_lanes;
    *tables(document, "sensor")? = new_sensors;
    Ok(())
}

fn clear_positions(tables: &mut ArrayOfTables) {
    for table in tables.iter_mut() {
        table.set_position(None);
        if let Some(stations) = table.get_mut("station").and_then(Item::as_array_of_tables_mut) {
            clear_positions(stations);
        }
    }
}

fn text(table: &Table, key: &str) -> Option<String> {
    table.get(key).and_then(Item::as_str).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::repository;

    #[tokio::test]
    async fn the_example_fits_any_number_of_lanes() {
        let example = repository().join("firmware-config/examples/demo.toml");
        let example = std::fs::read_to_string(example).unwrap();
        assert_eq!(names(&example).unwrap(), ("RU10702030".to_owned(), "gw-1".to_owned()));
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "x").unwrap();
        for count in [1, 2, 5] {
            let mut lanes = Vec::new();
            for (index, name) in lane_names(count).into_iter().enumerate() {
                lanes.push(LaneDevices::start(&name, index, 9).await.unwrap());
            }
            for lane in &mut lanes {
                lane.camera_url = format!("rtsp://127.0.0.1:9/{}", lane.camera);
            }
            let places = Places {
                broker_port: 1234,
                tls: [&file, &file, &file],
                storage: folder.path(),
                runtime: &file,
                models: folder.path(),
                metrics_port: 4321,
            };
            let text = site_file(&example, &lanes, &places).unwrap();
            let path = folder.path().join("site.toml");
            let site = firmware_config::load(&text, &path, &edge_agent::catalogue::catalogue());
            let site = site.unwrap_or_else(|problems| panic!("{problems}\n{text}"));
            assert_eq!((site.lanes.len(), site.sensors.len()), (count, 7 * count));
            assert!(site.warnings.is_empty(), "{:?}", site.warnings);
        }
    }
}
