//! Waits for the GPU, with and without `await`.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use chainlet::{Context as _, Result};
use futures::channel::oneshot;
use wgpu::{BufferUsages, MapMode, PollError, PollStatus, PollType};

use crate::gpu::{DOUBLE, Gpu, adapter, mapped};
use crate::{holds, same};

pub async fn poll() -> Result<()> {
    let gpu = Gpu::open().await?;
    same("a poll without work", gpu.device.poll(PollType::Poll)?, PollStatus::QueueEmpty)?;
    same("a wait without work", gpu.device.poll(PollType::wait_indefinitely())?, PollStatus::QueueEmpty)?;
    let buffer = gpu.numbers(&[1; 64], BufferUsages::empty());
    let pipeline = gpu.pipeline(DOUBLE, &[]);
    gpu.run(&pipeline, &[&buffer]);
    let submission = gpu.queue.submit([]);
    let wait = PollType::Wait { submission_index: Some(submission.clone()), timeout: None };
    holds("a submission is waited for", gpu.device.poll(wait).is_ok())?;
    gpu.run(&pipeline, &[&buffer]);
    let timeout = Some(Duration::from_secs(60));
    holds("a wait may have an end", gpu.device.poll(PollType::Wait { submission_index: None, timeout }).is_ok())?;
    same("what is left", gpu.device.poll(PollType::Poll)?, PollStatus::QueueEmpty)?;
    let at_once = PollType::Wait { submission_index: Some(submission), timeout: Some(Duration::ZERO) };
    holds("what is done needs no time", gpu.device.poll(at_once).is_ok())
}

/// A loop that never lets other code run ends as well.
pub async fn poll_without_waiting() -> Result<()> {
    let gpu = Gpu::open().await?;
    let buffer = gpu.numbers(&[3; 64], BufferUsages::empty());
    gpu.run(&gpu.pipeline(DOUBLE, &[]), &[&buffer]);
    let copy = gpu.copy_of(&buffer);
    let (sender, receiver) = mpsc::channel();
    copy.map_async(MapMode::Read, .., move |mapped| drop(sender.send(mapped)));
    let start = Instant::now();
    loop {
        gpu.device.poll(PollType::Poll)?;
        if let Ok(mapped) = receiver.try_recv() {
            mapped?;
            return same("what is read", self::mapped(&copy)?, vec![6; 64]);
        }
        holds("it ends", start.elapsed() < Duration::from_secs(60))?;
    }
}

pub async fn work_done() -> Result<()> {
    let gpu = Gpu::open().await?;
    let buffer = gpu.numbers(&[3; 64], BufferUsages::empty());
    let pipeline = gpu.pipeline(DOUBLE, &[]);
    gpu.run(&pipeline, &[&buffer]);
    let (sender, receiver) = oneshot::channel();
    gpu.queue.on_submitted_work_done(move || {
        let _ = sender.send(());
    });
    receiver.await.context("the callback was dropped")?;

    gpu.run(&pipeline, &[&buffer]);
    let (sender, receiver) = mpsc::channel();
    gpu.queue.on_submitted_work_done(move || {
        let _ = sender.send(());
    });
    gpu.device.poll(PollType::wait_indefinitely())?;
    receiver.try_recv().context("the callback did not run")?;

    let (sender, receiver) = oneshot::channel();
    gpu.submit(|encoder| {
        encoder.on_submitted_work_done(move || {
            let _ = sender.send(());
        })
    });
    receiver.await.context("the callback of an encoder was dropped")
}

pub async fn wrong_submission() -> Result<()> {
    let (gpu, other) = (Gpu::open().await?, Gpu::open().await?);
    let mut last = other.queue.submit([]);
    for _ in 0..8 {
        last = other.queue.submit([]);
    }
    let wait = PollType::Wait { submission_index: Some(last), timeout: None };
    holds("nothing waits for ever", matches!(gpu.device.poll(wait), Err(PollError::WrongSubmissionIndex(..))))
}

pub async fn poll_all() -> Result<()> {
    let instance = chainlet::gpu::wgpu_instance();
    holds("nothing is under way on no devices", instance.poll_all(true))?;
    let adapter = instance.request_adapter(&wgpu::RequestAdapterOptions::default()).await?;
    let (device, queue) = adapter.request_device(&wgpu::DeviceDescriptor::default()).await?;
    let gpu = Gpu { device, queue };
    let buffer = gpu.numbers(&[3; 64], BufferUsages::empty());
    gpu.run(&gpu.pipeline(DOUBLE, &[]), &[&buffer]);
    let (sender, receiver) = mpsc::channel();
    gpu.queue.on_submitted_work_done(move || {
        let _ = sender.send(());
    });
    holds("nothing is under way after a wait", instance.poll_all(true))?;
    receiver.try_recv().context("the callback did not run")?;
    drop(gpu);
    drop(self::adapter().await?);
    holds("a device that is gone is no matter", instance.poll_all(true))
}
