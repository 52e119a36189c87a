//! The devices of a lane.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, bail};

use crate::peer::free_port;
use crate::sim::llrp::{LlrpHandle, LlrpReader};
use crate::sim::modbus::{BarrierWiring, RemoteIo};
use crate::sim::scale::SimScale;
use crate::sim::tenso_m::TensoM;
use crate::sim::toledo_continuous::Toledo;
use crate::sim::tsa::TsaPortal;

/// Input of the loop at the entry, as in the example site file.
pub const ENTRY_LOOP: u16 = 0;
/// Input of the loop under the barrier.
pub const EXIT_LOOP: u16 = 1;
/// Coils and inputs of the barrier. A lorry barrier of 4 m opens in a second or two.
const BARRIER: BarrierWiring = BarrierWiring {
    open_coil: 0,
    close_coil: 1,
    open_input: 2,
    closed_input: 3,
    travel: Duration::from_millis(1000),
};

/// Everything that stands in a lane.
pub struct LaneDevices {
    /// Name of the lane.
    pub name: String,
    /// Loops, barrier and lights.
    pub io: RemoteIo,
    /// The RFID reader at the entry, with the address where it listens.
    pub rfid: (LlrpHandle, SocketAddr),
    /// The radiation portal.
    pub portal: TsaPortal,
    /// The weighbridge.
    pub scale: SimScale,
    /// Where the daemon listens for seals.
    pub seals: SocketAddr,
    /// Name of the camera.
    pub camera: String,
    /// Address of its video.
    pub camera_url: String,
}

impl LaneDevices {
    /// Starts the devices of lane number `index`, except its camera. Lanes have their scale behind a serial server and
    /// on a serial port in turn.
    pub async fn start(name: &str, index: usize, seed: u64) -> anyhow::Result<Self> {
        let scale = if index.is_multiple_of(2) {
            SimScale::on_tcp(TensoM::new()).await?
        } else {
            SimScale::on_pty(Toledo::default())?
        };
        let portal_seed = seed.wrapping_add(u64::try_from(index)?);
        Ok(Self {
            name: name.to_owned(),
            io: RemoteIo::start_with(vec![BARRIER]).await?,
            rfid: LlrpReader::start().await?,
            portal: TsaPortal::start_fast(1.0, portal_seed).await?,
            scale,
            seals: SocketAddr::from(([127, 0, 0, 1], free_port()?)),
            camera: format!("camera-{name}"),
            camera_url: String::new(),
        })
    }

    /// What leads to the device called `sensor`: key and value in the site file.
    pub fn parameters(&self, sensor: &str) -> anyhow::Result<Vec<(&'static str, String)>> {
        let class = sensor.strip_suffix(&self.name).unwrap_or_default();
        Ok(vec![match class {
            "loop-" | "gate-" => ("address", self.io.address().to_string()),
            "camera-" => ("url", self.camera_url.clone()),
            "rfid-" => ("address", self.rfid.1.to_string()),
            "portal-" => ("address", self.portal.address().to_owned()),
            "scale-" => match (self.scale.port(), self.scale.address()) {
                (Some(port), _) => ("port", port.display().to_string()),
                (None, address) => ("address", address.context("the scale has neither port nor address")?),
            },
            "seals-" => ("listen", self.seals.to_string()),
            _ => bail!("the demo has no device for sensor {sensor} of lane {}", self.name),
        }])
    }
}
