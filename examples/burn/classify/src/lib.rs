//! `classify`: tells on which arm of a spiral a point is, with a network that burn runs on the GPU.

mod device;
mod network;

use burn::tensor::{Device, Tensor, TensorData};
use chainlet::{Context as _, Result, chainlet};
use network::Network;

struct Classify {
    device: Device,
    network: Network,
}

#[chainlet]
impl Classify {
    /// Opens the GPU and uploads the network once, for all calls.
    async fn init() -> Result<Self> {
        let device = device::open().await?;
        let network = Network::load(include_str!("network.json"), &device)?;
        Ok(Classify { device, network })
    }

    async fn run_remote(&self, points: Vec<Point>) -> Result<Vec<Arms>> {
        if points.is_empty() {
            return Ok(Vec::new());
        }
        let coordinates = points.iter().flat_map(|point| [point.x, point.y]).collect();
        let points = Tensor::<2>::from_data(TensorData::new(coordinates, [points.len(), 2]), &self.device);
        let probabilities = self.network.forward(points).into_data_async().await.context("cannot read the result")?;
        let probabilities = probabilities.try_to_vec::<f32>().context("cannot read the result")?;
        let (rows, _) = probabilities.as_chunks();
        Ok(rows.iter().map(|&[first, second, third]| Arms { first, second, third }).collect())
    }
}
