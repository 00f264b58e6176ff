//! Batches of work, and their submission.

use std::ops::RangeBounds;
use std::rc::Rc;

use super::buffer::Memory;
use super::buffer::sealed::Bound as _;
use super::{Binding, Buffer, Element, Error, Gpu, Kernel, host};

/// Kernels to run and buffers to copy, in order. [`submit`](Batch::submit) hands all of them to the GPU at once. Each
/// step sees the writes of the steps before it.
///
/// A batch keeps the kernels and buffers in it alive until it is submitted. A batch that is dropped does nothing.
#[derive(Debug)]
#[must_use = "nothing is done until it is submitted"]
pub struct Batch {
    gpu: Gpu,
    steps: Vec<Step>,
}

#[derive(Debug)]
enum Step {
    Run {
        kernel: Kernel,
        group: Option<Rc<host::BindGroup>>,
        workgroups: host::Workgroups,
        /// The group alone does not keep the memories alive.
        _memories: Vec<Rc<Memory>>,
    },
    Copy {
        from: Rc<Memory>,
        from_offset: u64,
        to: Rc<Memory>,
        to_offset: u64,
        size: u64,
    },
    Clear {
        memory: Rc<Memory>,
    },
}

/// Work that was handed to the GPU.
#[derive(Debug)]
pub struct Submission {
    gpu: Gpu,
    number: u64,
}

impl Batch {
    pub(super) fn new(gpu: &Gpu) -> Self {
        Batch { gpu: gpu.clone(), steps: Vec::new() }
    }

    /// Runs a kernel once, with `workgroups` in each dimension. `bindings` are the bindings of group 0, counted from 0.
    ///
    /// # Errors
    /// Fails if the bindings do not fit the kernel.
    pub fn run(&mut self, kernel: &Kernel, bindings: &[&dyn Binding], workgroups: [u32; 3]) -> Result<(), Error> {
        let [x, y, z] = workgroups;
        self.steps.push(Step::Run {
            kernel: kernel.clone(),
            group: kernel.group(bindings)?,
            workgroups: host::Workgroups { x, y, z },
            _memories: bindings.iter().map(|binding| Rc::clone(binding.memory())).collect(),
        });
        Ok(())
    }

    /// Copies all elements of one buffer to another buffer of the same length.
    ///
    /// # Errors
    /// Fails if the lengths differ.
    pub fn copy<T: Element>(&mut self, from: &Buffer<T>, to: &Buffer<T>) -> Result<(), Error> {
        if from.len() != to.len() {
            return Err(Error::invalid(format!(
                "a buffer of {} elements cannot be copied to one of {}",
                from.len(),
                to.len()
            )));
        }
        self.copy_range(from, .., to, 0)
    }

    /// Copies a range of one buffer to another. The first element goes to index `offset`.
    ///
    /// # Errors
    /// Fails if one of the buffers does not have the range. If an element is smaller than 4 bytes, also fails if the
    /// range does not consist of whole words of 4 bytes, unless it reaches to the end of both buffers.
    pub fn copy_range<T: Element>(
        &mut self,
        from: &Buffer<T>,
        range: impl RangeBounds<usize>,
        to: &Buffer<T>,
        offset: usize,
    ) -> Result<(), Error> {
        let range = from.range(range)?;
        let destination = to.place(offset..offset.saturating_add(range.len()))?;
        // Both have the same size: `place` accepts an end within a word only at the end of a buffer, so here it is the
        // end of both.
        let source = from.place(range)?;
        let size = source.end - source.start;
        if size > 0 {
            self.steps.push(Step::Copy {
                from: Rc::clone(from.memory()),
                from_offset: source.start,
                to: Rc::clone(to.memory()),
                to_offset: destination.start,
                size,
            });
        }
        Ok(())
    }

    /// Makes all bytes of a buffer 0.
    ///
    /// # Errors
    /// Never fails now. Later versions may find mistakes as the batch grows.
    pub fn clear<T>(&mut self, buffer: &Buffer<T>) -> Result<(), Error> {
        self.steps.push(Step::Clear { memory: Rc::clone(buffer.memory()) });
        Ok(())
    }

    /// Hands the batch to the GPU, and does not wait for it.
    ///
    /// # Errors
    /// Fails if something in the batch is wrong. The GPU then does nothing of it.
    pub fn submit(self) -> Result<Submission, Error> {
        let number = self.gpu.device().submit(&self.commands())?;
        Ok(Submission { gpu: self.gpu, number })
    }

    /// Returns the batch as the host takes it. Kernels that run one after the other share a pass, in which nothing is
    /// set twice.
    fn commands(&self) -> Vec<host::Command<'_>> {
        let mut commands = Vec::new();
        let mut pass = Pass::default();
        for step in &self.steps {
            let command = match step {
                Step::Run { kernel, group, workgroups, .. } => {
                    pass.run(kernel, group.as_deref(), *workgroups);
                    continue;
                }
                Step::Copy { from, from_offset, to, to_offset, size } => host::Command::CopyBuffer(host::BufferCopy {
                    source: &from.buffer,
                    source_offset: *from_offset,
                    destination: &to.buffer,
                    destination_offset: *to_offset,
                    size: *size,
                }),
                Step::Clear { memory } => {
                    host::Command::ClearBuffer(host::BufferClear { buffer: &memory.buffer, offset: 0, size: None })
                }
            };
            commands.extend(std::mem::take(&mut pass).end());
            commands.push(command);
        }
        commands.extend(pass.end());
        commands
    }
}

/// A compute pass to which kernels are added.
#[derive(Default)]
struct Pass<'a> {
    commands: Vec<host::PassCommand<'a>>,
    kernel: Option<&'a Kernel>,
    group: Option<&'a host::BindGroup>,
}

impl<'a> Pass<'a> {
    fn run(&mut self, kernel: &'a Kernel, group: Option<&'a host::BindGroup>, workgroups: host::Workgroups) {
        if !self.kernel.is_some_and(|set| set.is(kernel)) {
            self.commands.push(host::PassCommand::SetPipeline(kernel.pipeline()));
            self.kernel = Some(kernel);
        }
        // Bindings of another kernel may stay set, because a kernel without bindings ignores them.
        if let Some(group) = group
            && !self.group.is_some_and(|set| std::ptr::eq(set, group))
        {
            let setting = host::BindGroupSetting { index: 0, group: Some(group), dynamic_offsets: Vec::new() };
            self.commands.push(host::PassCommand::SetBindGroup(setting));
            self.group = Some(group);
        }
        self.commands.push(host::PassCommand::Dispatch(workgroups));
    }

    fn end(self) -> Option<host::Command<'a>> {
        let commands = self.commands;
        let pass = host::ComputePass { label: None, timestamps: None, commands };
        (!pass.commands.is_empty()).then_some(host::Command::ComputePass(pass))
    }
}

impl Submission {
    /// Waits until the GPU has done this submission and all before it.
    ///
    /// # Errors
    /// Fails with [`ErrorKind::Timeout`](super::ErrorKind::Timeout) if it took longer than it may.
    pub async fn wait(&self) -> Result<(), Error> {
        Ok(self.gpu.device().wait(Some(self.number)).await?)
    }

    /// Waits like [`wait`](Submission::wait), for code that is not async. All other calls of this instance are held up
    /// meanwhile.
    ///
    /// # Errors
    /// Fails in the same cases as [`wait`](Submission::wait).
    pub fn wait_blocking(&self) -> Result<(), Error> {
        Ok(self.gpu.device().wait_blocking(Some(self.number))?)
    }

    /// Returns true if the GPU is known to have done this submission.
    pub fn is_done(&self) -> bool {
        self.gpu.device().completed() >= self.number
    }
}
