//! Shaders and pipelines that compile, and those that are rejected.

use chainlet::Result;

use crate::gpu::BufferBindingKind::{ReadOnlyStorage, Storage, Uniform};
use crate::gpu::{BindGroupLayoutEntry, ComputePipeline, ComputePipelineDescriptor, ErrorKind, ShaderModule};
use crate::lab::{INCREMENT, Lab, Told, described, read};
use crate::layouts::{binding, layout};
use crate::steps::Steps;

const OUT: &str = "@group(0) @binding(0) var<storage, read_write> all: array<u32>;\n";

/// A shader whose function has the body `body`.
fn shader(before: &str, body: &str) -> String {
    format!("{before}\n{OUT}@compute @workgroup_size(1) fn main() {{ {body} }}")
}

pub fn modules() -> Result<String> {
    let mut steps = Steps::default();
    let lab = Lab::plain()?;
    steps.ok("a shader", lab.module(INCREMENT));
    steps.ok("nothing", lab.module(""));
    steps.ok("no entry point", lab.module("fn f() -> u32 { return 1u; }"));
    steps.ok("one for drawing", lab.module("@fragment fn main() -> @location(0) vec4f { return vec4f(); }"));
    steps.ok("names from all over the world", lab.module("const größe = 1; const 数 = 2;"));
    let line = "\n\n\n    let x: u32 = 1.5;\n";
    let errors = [
        ("what is no shader", "no shader", ""),
        ("an open bracket", "fn f() {", ""),
        ("a name that is not there", "@compute @workgroup_size(1) fn main() { let x = nothing; }", "nothing"),
        ("a function that is not there", "@compute @workgroup_size(1) fn main() { nothing(); }", "nothing"),
        ("a type that does not fit", "fn f() -> u32 { return 1.5; }", ""),
        ("a function that calls itself", "fn f() { f(); }", ""),
        ("two of a name", "const a = 1; const a = 2;", "a"),
        ("a division by zero", "const a = 1 / 0;", ""),
        ("a number too large", "const a: u32 = 4294967296;", ""),
        ("an index beyond a constant array", "const a = array(1, 2)[2];", ""),
        ("a claim that is not true", "const_assert 1 == 2;", ""),
        ("no workgroup at all", "@compute fn main() {}", ""),
        ("a derivative", "@compute @workgroup_size(1) fn main() { let x = dpdx(1.0); }", ""),
        ("16-bit numbers that are not enabled", "var<private> a: f16;", "f16"),
        ("16-bit numbers of a device without", "enable f16; var<private> a: f16;", "f16"),
        ("64-bit numbers of a device without", "var<private> a: i64;", ""),
        ("subgroups of a device without", "enable subgroups;\nfn f() { let x = subgroupAdd(1u); }", ""),
        ("zeros in the text", "\0\0\0", ""),
    ];
    for (what, wgsl, part) in errors {
        steps.refused_with(what, ErrorKind::Invalid, part, lab.module(wgsl));
    }
    match lab.module(&format!("fn f() {{ {line} }}")) {
        Ok(_) => steps.holds("a mistake on line 4", false),
        Err(error) => {
            let names_it = error.message.contains(":4:") || error.message.contains("4 │");
            steps.holds(&format!("the line is named in: {}", error.message), names_it);
            steps.holds("the text is quoted", error.message.contains("let x: u32 = 1.5"));
        }
    }
    let long = format!("fn f() {{ {} let x: u32 = 1.5; }}", "let y = 1; ".repeat(1_000));
    if let Err(error) = lab.module(&long) {
        steps.holds("a message is not too long", error.message.len() <= 16_384);
    }
    steps.end()
}

/// Makes the pipeline of an entry point of a module.
fn entry_point(lab: &Lab, module: &ShaderModule, name: Option<&str>) -> Told<ComputePipeline> {
    let descriptor = ComputePipelineDescriptor { entry_point: name.map(str::to_owned), ..described(module) };
    lab.device.create_compute_pipeline(&descriptor)
}

pub fn pipelines() -> Result<String> {
    let mut steps = Steps::default();
    let lab = Lab::plain()?;
    let limits = lab.device.limits();
    let two = lab.module(
        "@compute @workgroup_size(1) fn one() {}
         @compute @workgroup_size(1) fn two() {}
         @fragment fn paint() -> @location(0) vec4f { return vec4f(); }
         fn plain() {}",
    )?;
    steps.ok("one by its name", entry_point(&lab, &two, Some("one")));
    steps.ok("the other by its name", entry_point(&lab, &two, Some("two")));
    steps.invalid("either", entry_point(&lab, &two, None));
    for name in ["three", "paint", "plain", "", "ONE", "one\0"] {
        steps.invalid(&format!("{name:?}"), entry_point(&lab, &two, Some(name)));
    }
    steps.ok("the only one, with one for drawing beside it", {
        let module = lab.module(
            "@compute @workgroup_size(1) fn main() {}
             @fragment fn paint() -> @location(0) vec4f { return vec4f(); }",
        )?;
        entry_point(&lab, &module, None)
    });
    steps.invalid("none", entry_point(&lab, &lab.module("")?, None));

    let size =
        |x: u32, y: u32, z: u32| lab.pipeline(&format!("@compute @workgroup_size({x}, {y}, {z}) fn main() {{}}"));
    let (x, y, z) =
        (limits.max_compute_workgroup_size_x, limits.max_compute_workgroup_size_y, limits.max_compute_workgroup_size_z);
    steps.ok("the widest workgroup", size(x.min(limits.max_compute_invocations_per_workgroup), 1, 1));
    steps.ok("the deepest workgroup", size(1, 1, z));
    steps.invalid("too wide a workgroup", size(x + 1, 1, 1));
    steps.invalid("too high a workgroup", size(1, y + 1, 1));
    steps.invalid("too deep a workgroup", size(1, 1, z + 1));
    steps.invalid("too many invocations", size(32, 32, 1));
    steps.invalid("a workgroup of none", size(0, 1, 1));
    steps.invalid("a workgroup of very many", size(u32::MAX, u32::MAX, 1));
    let shared = |bytes: u32| {
        let shared = format!("var<workgroup> held: array<u32, {}>;", bytes / 4);
        lab.pipeline(&shader(&shared, "held[0] = all[1]; workgroupBarrier(); all[0] = held[all[2]];"))
    };
    let most = limits.max_compute_workgroup_storage_size;
    steps.ok("all the memory of a workgroup", shared(most));
    let more = shared(most + 4);
    steps.holds(
        "more than the memory of a workgroup",
        more.is_err_and(|error| matches!(error.kind, ErrorKind::Invalid | ErrorKind::Unsupported)),
    );
    steps.invalid("a texture", {
        lab.pipeline(&format!(
            "@group(0) @binding(1) var pixels: texture_2d<f32>;\n{}",
            shader("", "all[0] = u32(textureLoad(pixels, vec2u(), 0).x);")
        ))
        .and_then(|pipeline| pipeline.get_bind_group_layout(0))
        .and_then(|layout| lab.group(&layout, &[&lab.storage(64)?]))
    });
    steps.end()
}

pub fn pipeline_layouts() -> Result<String> {
    let mut steps = Steps::default();
    let lab = Lab::plain()?;
    let module = lab.module(
        "struct Scale { by: u32, _1: u32, _2: u32, _3: u32 }
         @group(0) @binding(0) var<storage, read_write> all: array<u32>;
         @group(0) @binding(1) var<uniform> scale: Scale;
         @group(1) @binding(0) var<storage, read> other: array<u32>;
         @compute @workgroup_size(1) fn main() { all[0] = other[0] * scale.by; }",
    )?;
    let with = |groups: &[&[BindGroupLayoutEntry]]| -> Told<ComputePipeline> {
        let layouts = groups.iter().map(|entries| layout(&lab, entries)).collect::<Told<Vec<_>>>()?;
        let layouts: Vec<_> = layouts.iter().map(Some).collect();
        let layout = lab.device.create_pipeline_layout(None, &layouts, 0)?;
        let descriptor = ComputePipelineDescriptor { layout: Some(&layout), ..described(&module) };
        lab.device.create_compute_pipeline(&descriptor)
    };
    let (all, scale, other) = (binding(0, Storage), binding(1, Uniform), binding(0, ReadOnlyStorage));
    let sized = |entry: BindGroupLayoutEntry, size| BindGroupLayoutEntry { min_binding_size: size, ..entry };
    steps.ok("what the shader says", with(&[&[all, scale], &[other]]));
    steps.ok("more than it says", with(&[&[all, scale, binding(7, Storage)], &[other]]));
    steps.ok("sizes", with(&[&[sized(all, 4), sized(scale, 16)], &[other]]));
    steps.invalid("a size too small", with(&[&[all, sized(scale, 8)], &[other]]));
    steps.invalid("without a binding", with(&[&[all], &[other]]));
    steps.invalid("without a group", with(&[&[all, scale]]));
    steps.invalid("without any", with(&[]));
    steps.invalid("only read, but written", with(&[&[binding(0, ReadOnlyStorage), scale], &[other]]));
    steps.invalid("written, but only read", with(&[&[all, scale], &[binding(0, Storage)]]));
    steps.invalid("storage for a uniform", with(&[&[all, binding(1, Storage)], &[other]]));
    steps.invalid("groups in another order", with(&[&[other], &[all, scale]]));

    let pipeline = lab.device.create_compute_pipeline(&described(&module))?;
    for index in [0, 1] {
        steps.ok("a group of its own layout", pipeline.get_bind_group_layout(index));
    }
    for index in [4, 100, u32::MAX] {
        steps.invalid(&format!("group {index}"), pipeline.get_bind_group_layout(index));
    }
    let explicit = with(&[&[all, scale], &[other]])?;
    let group = explicit
        .get_bind_group_layout(0)
        .and_then(|layout| lab.group(&layout, &[&lab.storage(64)?, &lab.storage(64)?]));
    steps.ok("a group for the layout that it was made with", group);
    steps.end()
}

pub fn constants() -> Result<String> {
    let mut steps = Steps::default();
    let lab = Lab::plain()?;
    let module = lab.module(&shader(
        "override plain: u32 = 1u;
         @id(7) override numbered: i32 = 2;
         override real: f32 = 0.5;
         override truth: bool = false;
         override twice: u32 = plain * 2u;",
        "all[0] = plain; all[1] = bitcast<u32>(numbered); all[2] = bitcast<u32>(real); all[3] = u32(truth); all[4] = twice;",
    ))?;
    let with = |constants: &[(&str, f64)]| {
        let constants = constants.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
        lab.device.create_compute_pipeline(&ComputePipelineDescriptor { constants, ..described(&module) })
    };
    let result = |constants: &[(&str, f64)]| -> Told<Vec<u32>> {
        let buffer = lab.storage(20)?;
        lab.run(&with(constants)?, &[&buffer], 1)?;
        read(&buffer, 5)
    };
    let half = 0.5_f32.to_bits();
    let none = steps.ok("none", result(&[]));
    steps.equal("what they are by themselves", none, Some(vec![1, 2, half, 0, 2]));
    let all = [("plain", 5.0), ("7", -3.0), ("real", 0.25), ("truth", 1.0)];
    let all = steps.ok("all", result(&all));
    steps.equal("what they were set to", all, Some(vec![5, (-3_i32).cast_unsigned(), 0.25_f32.to_bits(), 1, 10]));
    let derived = steps.ok("one that depends on another", result(&[("twice", 9.0)]));
    steps.equal("is set by itself", derived, Some(vec![1, 2, half, 0, 9]));
    steps.ok("a name and another", with(&[("plain", 1.0), ("real", 1.0)]));
    steps.invalid("a name that is not there", with(&[("nothing", 1.0)]));
    steps.invalid("a number that is not there", with(&[("8", 1.0)]));
    steps.invalid("a numbered one by its name", with(&[("numbered", 1.0)]));
    steps.invalid("no name", with(&[("", 1.0)]));
    for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        for name in ["plain", "7", "real"] {
            steps.invalid(&format!("{value} for {name}"), with(&[(name, value)]));
        }
    }
    for (name, value) in [("plain", -1.0), ("plain", 4_294_967_296.0), ("7", 2_147_483_648.0), ("real", 1e39)] {
        steps.invalid(&format!("{value} for {name}"), with(&[(name, value)]));
    }
    let demanding = lab.module(&shader("override wanted: u32;", "all[0] = wanted;"))?;
    steps.invalid("one that has to be set", lab.device.create_compute_pipeline(&described(&demanding)));
    let wide = lab.module("override wide: u32 = 1u; @compute @workgroup_size(wide) fn main() {}")?;
    for (value, good) in [(64.0, true), (0.0, false), (100_000.0, false)] {
        let constants = vec![("wide".to_owned(), value)];
        let made = lab.device.create_compute_pipeline(&ComputePipelineDescriptor { constants, ..described(&wide) });
        let what = format!("a workgroup of {value}");
        match good {
            true => drop(steps.ok(&what, made)),
            false => steps.invalid(&what, made),
        }
    }
    steps.end()
}
