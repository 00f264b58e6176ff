//! The model, and the device that runs it.

use std::fs::File;

use chainlet::gpu::{AdapterKind, Gpu};
use chainlet::{Context as _, Result};
use minilm::{Shape, batches, cpu, gpu};
use serde::Deserialize;

/// The device that should run the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Device {
    /// A GPU, if there is one that is not the processor itself; else the processor.
    Auto,
    /// A GPU. It is an error if there is none.
    Gpu,
    /// The processor.
    Cpu,
}

/// The model, on its device.
pub enum Model {
    /// On the processor.
    Cpu(cpu::Model),
    /// On a GPU.
    Gpu(gpu::Model),
}

impl Model {
    /// Reads the model from the files of a folder.
    pub fn read(folder: &str, shape: Shape, device: Device) -> Result<Self> {
        let path = format!("{folder}/model.safetensors");
        let file = File::open(&path).context(format!("cannot open {path}, which `cargo xtask models` fetches"))?;
        let model = match gpu(device)? {
            Some(gpu) => {
                println!("all-MiniLM-L6-v2 runs on {} ({})", gpu.info().name, gpu.info().backend);
                Model::Gpu(gpu::Model::read(gpu, file, shape)?)
            }
            None => {
                println!("all-MiniLM-L6-v2 runs on the processor");
                Model::Cpu(cpu::Model::read(file, shape)?)
            }
        };
        Ok(model)
    }

    /// Returns the vectors of texts, which are given as their tokens.
    pub async fn encode(&self, texts: impl Iterator<Item = Vec<u32>>) -> Vec<Vec<f32>> {
        match self {
            Model::Cpu(model) => batches(texts, cpu::ROWS).iter().flat_map(|batch| model.encode(batch)).collect(),
            Model::Gpu(model) => {
                let mut vectors = Vec::new();
                for batch in batches(texts, gpu::ROWS) {
                    match model.encode(&batch).await {
                        Ok(more) => vectors.extend(more),
                        // The WIT has no error for this, and a lost GPU does not come back. So this instance ends, and
                        // the host starts one that reads the model again.
                        #[expect(clippy::panic, reason = "see above")]
                        Err(error) => panic!("the GPU failed: {error}"),
                    }
                }
                vectors
            }
        }
    }
}

/// Returns the GPU to run on; `None` for the processor.
fn gpu(device: Device) -> Result<Option<Gpu>> {
    Ok(match device {
        Device::Cpu => None,
        Device::Gpu => Some(Gpu::open()?),
        // A GPU that is only software would be slower than the processor's own instructions.
        Device::Auto => Gpu::find()?.filter(|gpu| gpu.info().kind != AdapterKind::Cpu),
    })
}
