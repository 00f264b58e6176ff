//! Shaders, and the kernels compiled from them.

use std::cell::{OnceCell, RefCell};
use std::rc::{Rc, Weak};

use super::buffer::Memory;
use super::{Binding, Error, Gpu, host};

/// The most sets of buffers that a kernel remembers. In one step of a model, each kernel runs on one set for each
/// layer.
const REMEMBERED: usize = 64;

/// A checked shader. Several kernels can be made of its entry points.
#[derive(Debug, Clone)]
pub struct Shader {
    gpu: Gpu,
    module: Rc<host::ShaderModule>,
}

/// The choice of a kernel in a shader.
///
/// ```
/// # use chainlet::gpu::{Error, Gpu, KernelOptions};
/// # fn example(gpu: &Gpu, wgsl: &str) -> Result<(), Error> {
/// let options = KernelOptions { entry_point: Some("sum"), constants: &[("width", 128.0)], ..Default::default() };
/// let kernel = gpu.kernel_with(wgsl, &options)?;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct KernelOptions<'a> {
    /// A name for errors.
    pub label: Option<&'a str>,
    /// The function with `@compute`. `None` takes the only one.
    pub entry_point: Option<&'a str>,
    /// Values for the shader's `override`s, each by name or by the number in `@id(…)`.
    pub constants: &'a [(&'a str, f64)],
}

/// A compiled entry point of a shader. Clones are the same kernel.
#[derive(Debug, Clone)]
pub struct Kernel(Rc<Compiled>);

#[derive(Debug)]
struct Compiled {
    gpu: Gpu,
    pipeline: host::ComputePipeline,
    /// The layout of group 0. A kernel without bindings has none.
    layout: OnceCell<host::BindGroupLayout>,
    groups: RefCell<Vec<Remembered>>,
}

/// Buffers that were bound together, and probably will be again. Finding their group costs much less than making one.
#[derive(Debug)]
struct Remembered {
    memories: Vec<Weak<Memory>>,
    group: Rc<host::BindGroup>,
}

impl Shader {
    pub(super) fn new(gpu: &Gpu, wgsl: &str) -> Result<Self, Error> {
        let module = gpu.device().create_shader_module(None, wgsl)?;
        Ok(Shader { gpu: gpu.clone(), module: Rc::new(module) })
    }

    /// Compiles the function `entry_point`.
    ///
    /// # Errors
    /// Fails if there is none, or if it needs more than this GPU has.
    pub fn kernel(&self, entry_point: &str) -> Result<Kernel, Error> {
        self.kernel_with(&KernelOptions { entry_point: Some(entry_point), ..KernelOptions::default() })
    }

    /// Compiles an entry point, with values for the shader's `override`s.
    ///
    /// # Errors
    /// Fails if the shader lacks something that `options` names, or if it needs more than this GPU has.
    pub fn kernel_with(&self, options: &KernelOptions<'_>) -> Result<Kernel, Error> {
        let pipeline = self.gpu.device().create_compute_pipeline(&host::ComputePipelineDescriptor {
            label: options.label.map(str::to_owned),
            layout: None,
            module: &self.module,
            entry_point: options.entry_point.map(str::to_owned),
            constants: options.constants.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect(),
            zero_initialize_workgroup_memory: true,
        })?;
        let (layout, groups) = (OnceCell::new(), RefCell::default());
        Ok(Kernel(Rc::new(Compiled { gpu: self.gpu.clone(), pipeline, layout, groups })))
    }
}

impl Kernel {
    pub(super) fn pipeline(&self) -> &host::ComputePipeline {
        &self.0.pipeline
    }

    pub(super) fn is(&self, other: &Kernel) -> bool {
        Rc::ptr_eq(&self.0, &other.0)
    }

    /// Returns the group of these bindings; `None` if there are no bindings.
    pub(super) fn group(&self, bindings: &[&dyn Binding]) -> Result<Option<Rc<host::BindGroup>>, Error> {
        if bindings.is_empty() {
            return Ok(None);
        }
        let mut groups = self.0.groups.borrow_mut();
        if let Some(known) = groups.iter().find(|known| known.is_of(bindings)) {
            return Ok(Some(Rc::clone(&known.group)));
        }
        // Drop the groups whose buffers are gone, because those cannot be bound again.
        groups.retain(|known| known.memories.iter().all(|memory| memory.strong_count() > 0));
        if groups.len() >= REMEMBERED {
            groups.remove(0);
        }
        let group = Rc::new(self.bind(bindings)?);
        let memories = bindings.iter().map(|binding| Rc::downgrade(binding.memory())).collect();
        groups.push(Remembered { memories, group: Rc::clone(&group) });
        Ok(Some(group))
    }

    fn bind(&self, bindings: &[&dyn Binding]) -> Result<host::BindGroup, Error> {
        let entries: Vec<_> = (0..)
            .zip(bindings)
            .map(|(binding, bound)| host::BindGroupEntry {
                binding,
                buffer: &bound.memory().buffer,
                offset: 0,
                size: None,
            })
            .collect();
        Ok(self.0.gpu.device().create_bind_group(None, self.layout()?, &entries)?)
    }

    fn layout(&self) -> Result<&host::BindGroupLayout, Error> {
        if let Some(layout) = self.0.layout.get() {
            return Ok(layout);
        }
        let layout = self.pipeline().get_bind_group_layout(0)?;
        Ok(self.0.layout.get_or_init(|| layout))
    }
}

impl Remembered {
    fn is_of(&self, bindings: &[&dyn Binding]) -> bool {
        self.memories.len() == bindings.len()
            && self.memories.iter().zip(bindings).all(|(known, bound)| known.as_ptr() == Rc::as_ptr(bound.memory()))
    }
}
