//! Shaders that mean harm, and a guest that does.

use chainlet::Result;

use super::gpu::{BindGroupEntry, BindGroupSetting, ErrorKind, PassCommand, Workgroups};
use super::{device, fine, holds, pass, pipeline, refused, run, storage};

/// Work for minutes: more loops than a driver in software may cut short, in more workgroups than there are processors.
const LONG: &str = "
    @group(0) @binding(0) var<storage, read_write> all: array<atomic<u32>>;
    @compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3<u32>) {
        var x = id.x;
        for (var i = 0u; i < 60000u; i++) {
            x = x * 1664525u + 1013904223u;
            if (x & 0xfffu) == 0u { atomicAdd(&all[x % 16u], 1u); }
        }
        atomicAdd(&all[0], x);
    }
";

/// Says how the wait for work without end ended, and whether a new device works.
pub fn hang() -> Result<String> {
    let one = device()?;
    let all = storage(&one, 64)?;
    let long = fine(pipeline(&one, LONG))?;
    fine(run(&one, &long, &all, 20_000))?;
    let waited = match one.wait_blocking(None) {
        Ok(()) => "it ended".to_owned(),
        Err(error) => format!("{:?}", error.kind),
    };
    refused("work on a lost device", ErrorKind::DeviceLost, "timeout", run(&one, &long, &all, 1))?;
    Ok(waited)
}

/// As `hang`, of a guest that submits more behind it, where a driver may keep it waiting.
pub fn hang_and_submit() -> Result<String> {
    let one = device()?;
    let all = storage(&one, 64)?;
    let long = fine(pipeline(&one, LONG))?;
    for _ in 0..100 {
        if let Err(error) = run(&one, &long, &all, 20_000) {
            return Ok(format!("{:?}", error.kind));
        }
    }
    Ok("all of it was taken".to_owned())
}

pub fn out_of_bounds() -> Result<()> {
    let wgsl = "
        @group(0) @binding(0) var<storage, read_write> all: array<u32>;
        @compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3<u32>) {
            let far = id.x * 4099u;
            let found = all[far + 1000u] | all[0xffffffffu - id.x];
            all[far + 16u] = 0xdeadbeefu;
            all[id.x % 16u] |= found;
        }
    ";
    let device = device()?;
    let neighbours: Vec<_> = (0..8).map(|_| storage(&device, 4096)).collect::<Result<_>>()?;
    for neighbour in &neighbours {
        fine(neighbour.write(0, &[7; 4096]))?;
    }
    let own = storage(&device, 64)?;
    fine(run(&device, &fine(pipeline(&device, wgsl))?, &own, 1_000))?;
    fine(device.wait_blocking(None))?;
    for neighbour in &neighbours {
        holds("a neighbour is as it was", fine(neighbour.read_blocking(0, 4096))? == [7; 4096])?;
    }
    // Reads beyond the end give nothing of a neighbour's; writes land nowhere, or within the buffer itself.
    let own = fine(own.read_blocking(0, 64))?;
    holds("nothing of a neighbour's was read", !own.chunks_exact(4).any(|word| word == [7; 4]))?;

    let division = "
        @group(0) @binding(0) var<storage, read_write> all: array<i32>;
        @compute @workgroup_size(1) fn main() {
            all[1] = 7 / all[0];
            all[2] = -2147483648 / (all[0] - 1);
            all[3] = 7 % all[0];
            all[4] = 1 << (u32(all[0]) + 31u);
        }
    ";
    fine(run(&device, &fine(pipeline(&device, division))?, &storage(&device, 64)?, 1))?;
    fine(device.wait_blocking(None))
}

pub fn bombs() -> Result<()> {
    let device = device()?;
    let unsupported = ErrorKind::Unsupported;
    let mut constants = String::from("const c0 = array(1u, 2u);\n");
    for level in 1..18 {
        constants.push_str(&format!("const c{level} = array(c{0}, c{0});\n", level - 1));
    }
    constants.push_str("@compute @workgroup_size(1) fn main() { _ = c17[0]; }");
    refused("a constant without end", unsupported, "parts", device.create_shader_module(None, &constants))?;
    let mut types = String::from("struct S0 { x: array<u32, 64> }\n");
    for level in 1..30 {
        types.push_str(&format!("struct S{level} {{ x: array<S{}, 64> }}\n", level - 1));
    }
    types.push_str("@compute @workgroup_size(1) fn main() { var x: S29; }");
    holds("a type without end", device.create_shader_module(None, &types).is_err())?;
    let mut calls = String::from("fn f0(x: u32) -> u32 { return x + 1u; }\n");
    for level in 1..30 {
        calls.push_str(&format!("fn f{level}(x: u32) -> u32 {{ return f{0}(x) + f{0}(x + 1u); }}\n", level - 1));
    }
    calls.push_str("@compute @workgroup_size(1) fn main() { _ = f29(1u); }");
    refused("calls without end", unsupported, "calls", device.create_shader_module(None, &calls))?;
    let big = "@compute @workgroup_size(1) fn main() { var x: array<u32, 100000>; x[5] = 1u; }";
    refused("a variable too large", unsupported, "variables", device.create_shader_module(None, big))?;
    for (open, inner, close) in [("(", "1", ")"), ("-", "1", ""), ("vec2(", "1", ").x"), ("{", "", "}")] {
        let nested = format!("{}{inner}{}", open.repeat(20_000), close.repeat(20_000));
        let body = if open == "{" { nested } else { format!("let x = {nested};") };
        // Whether it is one is up to the parser. The host lives.
        let _ = device.create_shader_module(None, &format!("@compute @workgroup_size(1) fn main() {{ {body} }}"));
    }
    let own = storage(&device, 64)?;
    let plain = "@group(0) @binding(0) var<storage, read_write> all: array<u32>;
        @compute @workgroup_size(1) fn main() { all[0] = 1u; }";
    fine(run(&device, &fine(pipeline(&device, plain))?, &own, 1))?;
    holds("the device works", fine(own.read_blocking(0, 4))? == [1, 0, 0, 0])
}

/// Traps in the middle of what it asked for.
pub fn trap() -> Result<()> {
    let device = device()?;
    let all = storage(&device, 16 << 20)?;
    let kernel = fine(pipeline(
        &device,
        "@group(0) @binding(0) var<storage, read_write> all: array<u32>;
         @compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3<u32>) { all[id.x] += 1u; }",
    ))?;
    let layout = fine(kernel.get_bind_group_layout(0))?;
    let entry = BindGroupEntry { binding: 0, buffer: &all, offset: 0, size: None };
    let group = fine(device.create_bind_group(None, &layout, &[entry]))?;
    for _ in 0..4 {
        fine(device.submit(&[pass(vec![
            PassCommand::SetPipeline(&kernel),
            PassCommand::SetBindGroup(BindGroupSetting { index: 0, group: Some(&group), dynamic_offsets: Vec::new() }),
            PassCommand::Dispatch(Workgroups { x: 60_000, y: 1, z: 1 }),
        ])]))?;
    }
    std::process::abort()
}
