//! Puts a line through the pipeline and shows each step: `cargo run -p pipeline`.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, reason = "an example talks")]

use isorun::Runtime;
use pipeline::{NODES, Pipeline};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let input = std::env::args().nth(1).unwrap_or_else(|| "hmmmmmmm, the seaaaaaa!".into());
    let pipeline = Pipeline::start(&Runtime::new()?, &NODES).await?;
    println!("input: {input:?}");
    for (how, step) in pipeline.explain().zip(pipeline.steps(input.as_bytes()).await?) {
        println!("{how}\n  {} bytes: {:?}", step.len(), String::from_utf8_lossy(&step));
    }
    Ok(())
}
