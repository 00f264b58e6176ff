//! Work that is submitted at once.

use std::ops::RangeBounds;
use std::rc::Rc;

use super::buffer::Memory;
use super::buffer::sealed::Bound as _;
use super::{Binding, Buffer, Element, Error, Gpu, Kernel, host};

/// Kernels to run and buffers to copy, in order, which [`submit`](Batch::submit)
/// hands to the GPU at once. Each sees what those before it wrote.
///
/// Whatever it names stays alive until it is submitted; a batch that is dropped
/// does nothing.
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
        /// The group alone does not keep them.
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

/// Work that the GPU was given.
#[derive(Debug)]
pub struct Submission {
    gpu: Gpu,
    number: u64,
}

impl Batch {
    pub(super) fn new(gpu: &Gpu) -> Self {
        Batch { gpu: gpu.clone(), steps: Vec::new() }
    }

    /// Runs a kernel once, in `workgroups` in each dimension. `bindings` are
    /// those of group 0, from 0 on.
    ///
    /// # Errors
    /// If the bindings do not fit the kernel.
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

    /// Copies all elements of one buffer to another of as many.
    ///
    /// # Errors
    /// If they differ in length.
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

    /// Copies a range of one buffer to another, the first element to place
    /// `offset`.
    ///
    /// # Errors
    /// If one of the buffers does not have the range. Where an element is smaller
    /// than 4 bytes, also if the range is not of whole words of 4 bytes, or of
    /// all to the end of both buffers.
    pub fn copy_range<T: Element>(
        &mut self,
        from: &Buffer<T>,
        range: impl RangeBounds<usize>,
        to: &Buffer<T>,
        offset: usize,
    ) -> Result<(), Error> {
        let range = from.range(range)?;
        let destination = to.place(offset..offset.saturating_add(range.len()))?;
        // Of the same length: an end that is not a whole word is only copied to another.
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
    /// None now; what is wrong with a batch may be found as it grows.
    pub fn clear<T>(&mut self, buffer: &Buffer<T>) -> Result<(), Error> {
        self.steps.push(Step::Clear { memory: Rc::clone(buffer.memory()) });
        Ok(())
    }

    /// Hands it to the GPU, and does not wait for it.
    ///
    /// # Errors
    /// If something about it is wrong; then nothing of it is done.
    pub fn submit(self) -> Result<Submission, Error> {
        let number = self.gpu.device().submit(&self.commands())?;
        Ok(Submission { gpu: self.gpu, number })
    }

    /// As the host takes it: with one pass for kernels that run one after the
    /// other, in which nothing is set that is set already.
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

/// A compute pass that grows.
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
        // A kernel without bindings does not mind those of another.
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
    /// Returns when the GPU is done with it, and with all before it.
    ///
    /// # Errors
    /// [`ErrorKind::Timeout`](super::ErrorKind::Timeout) if it took longer than
    /// it may.
    pub async fn wait(&self) -> Result<(), Error> {
        Ok(self.gpu.device().wait(Some(self.number)).await?)
    }

    /// As [`wait`](Submission::wait), for code that is not async. No other call
    /// of this instance goes on meanwhile.
    ///
    /// # Errors
    /// As with [`wait`](Submission::wait).
    pub fn wait_blocking(&self) -> Result<(), Error> {
        Ok(self.gpu.device().wait_blocking(Some(self.number))?)
    }

    /// Whether the GPU is known to be done with it.
    pub fn is_done(&self) -> bool {
        self.gpu.device().completed() >= self.number
    }
}
