//! The network: three layers, whose weights come from a file.

use burn::module::Param;
use burn::nn::{Gelu, Linear};
use burn::tensor::{Device, Tensor, TensorData, activation};
use chainlet::{Context as _, Result};
use serde::Deserialize;

/// Layers with GELU between them and softmax at the end.
pub struct Network {
    layers: Vec<Linear>,
}

/// A layer in the file.
#[derive(Deserialize)]
struct Layer {
    inputs: usize,
    outputs: usize,
    /// The rows one after the other, one row for each input.
    weights: Vec<f32>,
    biases: Vec<f32>,
}

impl Network {
    /// Reads the layers and uploads them.
    pub fn load(text: &str, device: &Device) -> Result<Self> {
        let layers: Vec<Layer> = serde_json::from_str(text).context("cannot read the network")?;
        Ok(Network { layers: layers.into_iter().map(|layer| layer.upload(device)).collect() })
    }

    /// Returns a row of probabilities for each row of `input`.
    pub fn forward(&self, input: Tensor<2>) -> Tensor<2> {
        let mut values = input;
        for (number, layer) in self.layers.iter().enumerate() {
            if number > 0 {
                values = Gelu::new().forward(values);
            }
            values = layer.forward(values);
        }
        activation::softmax(values, 1)
    }
}

impl Layer {
    fn upload(self, device: &Device) -> Linear {
        let weights = TensorData::new(self.weights, [self.inputs, self.outputs]);
        let biases = TensorData::new(self.biases, [self.outputs]);
        Linear {
            weight: Param::from_tensor(Tensor::from_data(weights, device)),
            bias: Some(Param::from_tensor(Tensor::from_data(biases, device))),
        }
    }
}
