//! Shaders that are valid, and meant to break what compiles them.
//!
//! WGSL is checked by wgpu, whose parser and validator hold what a shader can say to WebGPU's rules. Some of what those
//! allow takes a driver's compiler more memory than there is: a few lines can name a constant of as many parts as there are
//! atoms, as each can be an array of the one before. Such shaders are refused here, before a driver sees them. What merely
//! takes long has its deadline.

use std::collections::HashSet;

use naga::{Arena, Block, Expression, Function, GlobalVariable, Handle, Module, Statement, TypeInner};

use crate::gpu::protocol::{Failure, Result};

/// The longest shader, in bytes. Its parser needs some hundred bytes of stack for each, at worst.
pub(super) const TEXT: usize = 256 << 10;
/// The most scalars in one value that a shader writes out or computes with.
const PARTS: u64 = 1 << 16;
/// The most expressions that an entry point comes to with all that it calls.
const INLINED: u64 = 1 << 18;
/// The most bytes of the variables of one function, or of those that are private to an invocation. WGSL guarantees 8192.
const VARIABLES: u64 = 1 << 16;

/// Bytes of workgroup memory that each entry point of a shader takes, as far as that is known before its constants are.
///
/// WebGPU limits it when a pipeline is made, and wgpu does not.
#[derive(Debug, Clone, Default)]
pub(super) struct Workgroup(Vec<(String, u64)>);

impl Workgroup {
    /// Refuses a pipeline of the entry point `name`, or of the only one, where it takes more than `most`.
    pub(super) fn check(&self, name: Option<&str>, most: u32) -> Result<()> {
        let Workgroup(entries) = self;
        let mut meant = entries.iter().filter(|(entry, _)| name.is_none_or(|name| name == entry));
        match meant.find(|(_, bytes)| *bytes > u64::from(most)) {
            None => Ok(()),
            Some((entry, bytes)) => Err(Failure::invalid(format_args!(
                "the workgroup variables of `{entry}` have {bytes} bytes, more than the {most} of \
                 max-compute-workgroup-storage-size"
            ))),
        }
    }
}

/// Refuses `wgsl` where it is out of all proportion. A shader that is not valid passes: wgpu says better what is wrong.
pub(super) fn check(wgsl: &str) -> Result<Workgroup> {
    if wgsl.len() > TEXT {
        return Err(Failure::unsupported(format_args!(
            "a shader of {} bytes is longer than the {TEXT} that it may be",
            wgsl.len()
        )));
    }
    let Ok(module) = naga::front::wgsl::parse_str(wgsl) else { return Ok(Workgroup::default()) };
    let constants = parts(&module, &module.global_expressions, &[]).ok_or_else(too_many_parts)?;
    let mut functions: Vec<Reach> = Vec::with_capacity(module.functions.len());
    // Each stands after those that it calls.
    for (_, function) in module.functions.iter() {
        functions.push(reach(&module, function, &constants, &functions)?);
    }
    let mut entries = Vec::with_capacity(module.entry_points.len());
    for entry in &module.entry_points {
        let reach = reach(&module, &entry.function, &constants, &functions)?;
        let used = module.global_variables.iter().filter(|(handle, variable)| {
            variable.space == naga::AddressSpace::WorkGroup && reach.globals.contains(handle)
        });
        let bytes = used.filter_map(|(_, variable)| size(&module, variable.ty)).fold(0, u64::saturating_add);
        entries.push((entry.name.clone(), bytes));
    }
    let private = module.global_variables.iter().filter(|(_, variable)| variable.space == naga::AddressSpace::Private);
    fits(&module, private.map(|(_, variable)| variable.ty), "the private variables")?;
    Ok(Workgroup(entries))
}

/// What a function comes to with all that it calls.
struct Reach {
    /// How many expressions it is once each call is replaced by what is called, as drivers do.
    inlined: u64,
    globals: HashSet<Handle<GlobalVariable>>,
}

fn reach(module: &Module, function: &Function, constants: &[u64], functions: &[Reach]) -> Result<Reach> {
    parts(module, &function.expressions, constants).ok_or_else(too_many_parts)?;
    let variables = function.local_variables.iter().map(|(_, variable)| variable.ty);
    fits(module, variables, "the variables of a function")?;
    let globals = function.expressions.iter().filter_map(|(_, expression)| match expression {
        Expression::GlobalVariable(global) => Some(*global),
        _ => None,
    });
    let own = u64::try_from(function.expressions.len()).unwrap_or(u64::MAX);
    let mut reach = Reach { inlined: own, globals: globals.collect() };
    called(&function.body, &mut |callee| {
        if let Some(callee) = functions.get(callee.index()) {
            reach.inlined = reach.inlined.saturating_add(callee.inlined);
            reach.globals.extend(&callee.globals);
        }
    });
    match reach.inlined <= INLINED {
        true => Ok(reach),
        false => Err(Failure::unsupported(format_args!(
            "a function in the shader has more than {INLINED} expressions with those of all functions that it calls"
        ))),
    }
}

/// Tells `tell` of each call in `block`.
fn called(block: &Block, tell: &mut impl FnMut(Handle<Function>)) {
    for statement in block.iter() {
        match statement {
            Statement::Call { function, .. } => tell(*function),
            Statement::Block(block) => called(block, tell),
            Statement::If { accept, reject, .. } => {
                called(accept, tell);
                called(reject, tell);
            }
            Statement::Switch { cases, .. } => cases.iter().for_each(|case| called(&case.body, tell)),
            Statement::Loop { body, continuing, .. } => {
                called(body, tell);
                called(continuing, tell);
            }
            _ => {}
        }
    }
}

fn too_many_parts() -> Failure {
    Failure::unsupported(format_args!("a value in the shader has more than {PARTS} parts: put it into a buffer"))
}

/// How many scalars each of `expressions` has, written out; none where one has too many. `constants` are those of the
/// module.
fn parts(module: &Module, expressions: &Arena<Expression>, constants: &[u64]) -> Option<Vec<u64>> {
    let mut all: Vec<u64> = Vec::with_capacity(expressions.len());
    let of = |all: &[u64], handle: Handle<Expression>| all.get(handle.index()).copied().unwrap_or(1);
    for (_, expression) in expressions.iter() {
        let count = match expression {
            Expression::Compose { components, .. } => {
                components.iter().fold(0_u64, |sum, component| sum.saturating_add(of(&all, *component)))
            }
            Expression::Splat { value, .. } => of(&all, *value).saturating_mul(4),
            Expression::Constant(constant) => {
                let init = module.constants.try_get(*constant).map(|constant| constant.init).ok();
                // A module's own expressions are before the constants that they make.
                init.map_or(1, |init| if constants.is_empty() { of(&all, init) } else { of(constants, init) })
            }
            Expression::ZeroValue(ty) => scalars(module, *ty),
            Expression::Load { pointer } => of(&all, *pointer),
            Expression::LocalVariable(_) => 1,
            Expression::Access { base, .. } | Expression::AccessIndex { base, .. } => of(&all, *base),
            Expression::Select { accept, .. } => of(&all, *accept),
            _ => 1,
        };
        if count > PARTS {
            return None;
        }
        all.push(count);
    }
    Some(all)
}

/// How many scalars a type has, at least one.
fn scalars(module: &Module, ty: Handle<naga::Type>) -> u64 {
    size(module, ty).map_or(1, |size| (size / 4).max(1))
}

fn size(module: &Module, ty: Handle<naga::Type>) -> Option<u64> {
    let inner = &module.types.get_handle(ty).ok()?.inner;
    match inner {
        TypeInner::Array { size: naga::ArraySize::Dynamic, .. } => None,
        inner => Some(inner.try_size(module.to_ctx()).map_or(u64::MAX, u64::from)),
    }
}

fn fits(module: &Module, types: impl Iterator<Item = Handle<naga::Type>>, what: &str) -> Result<()> {
    let bytes = types.filter_map(|ty| size(module, ty)).fold(0_u64, u64::saturating_add);
    match bytes <= VARIABLES {
        true => Ok(()),
        false => Err(Failure::unsupported(format_args!(
            "{what} in the shader have {bytes} bytes, and at most {VARIABLES} may be: put them into a buffer"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(wgsl: &str) -> String {
        check(wgsl).err().map(|failure| failure.message).unwrap_or_default()
    }

    #[test]
    fn a_shader_that_means_well_passes() {
        assert_eq!(
            refusal(
                "const TABLE = array<f32, 4>(1.0, 2.0, 3.0, 4.0);
                 var<workgroup> tile: array<f32, 1024>;
                 @group(0) @binding(0) var<storage, read_write> out: array<vec4<f32>>;
                 @compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3<u32>) {
                     var sums: array<vec4<f32>, 16>;
                     for (var i = 0u; i < 16u; i++) { sums[i] = out[id.x + i] * TABLE[i % 4u]; }
                     out[id.x] = sums[3];
                 }"
            ),
            ""
        );
    }

    #[test]
    fn a_constant_of_constants_of_constants_is_refused() {
        let mut wgsl = String::from("const c0 = array(1u, 2u);\n");
        for level in 1..18 {
            wgsl.push_str(&format!("const c{level} = array(c{0}, c{0});\n", level - 1));
        }
        wgsl.push_str("@compute @workgroup_size(1) fn main() { _ = c17[0]; }");
        assert!(refusal(&wgsl).contains("parts"), "{}", refusal(&wgsl));
    }

    #[test]
    fn a_value_that_doubles_in_each_line_is_refused() {
        let mut wgsl = String::from("@compute @workgroup_size(1) fn main() {\nlet c0 = array(1u, 2u);\n");
        for level in 1..18 {
            wgsl.push_str(&format!("let c{level} = array(c{0}, c{0});\n", level - 1));
        }
        wgsl.push('}');
        assert!(refusal(&wgsl).contains("parts"), "{}", refusal(&wgsl));
    }

    #[test]
    fn variables_that_no_invocation_has_room_for_are_refused() {
        let local =
            "@compute @workgroup_size(1) fn main() { var all: array<array<f32, 1000>, 1000>; all[3][4] = 1.0; }";
        assert!(refusal(local).contains("variables of a function"), "{}", refusal(local));
        let private = "var<private> all: array<f32, 100000>; @compute @workgroup_size(1) fn main() { all[3] = 1.0; }";
        assert!(refusal(private).contains("private"), "{}", refusal(private));
    }

    #[test]
    fn calls_that_double_with_each_function_are_refused() {
        let mut wgsl = String::from("fn f0(x: u32) -> u32 { return x + 1u; }\n");
        for level in 1..30 {
            wgsl.push_str(&format!("fn f{level}(x: u32) -> u32 {{ return f{0}(x) + f{0}(x + 1u); }}\n", level - 1));
        }
        wgsl.push_str("@compute @workgroup_size(1) fn main() { _ = f29(1u); }");
        assert!(refusal(&wgsl).contains("calls"), "{}", refusal(&wgsl));
    }

    #[test]
    fn the_workgroup_memory_of_an_entry_point_is_that_of_all_it_calls() {
        let wgsl = "
            var<workgroup> small: array<u32, 16>;
            var<workgroup> big: array<u32, 1000000>;
            fn far() { big[3] = 1u; }
            fn near() { if small[1] == 0u { far(); } }
            @compute @workgroup_size(1) fn one() { near(); }
            @compute @workgroup_size(1) fn two() { small[0] = 1u; }
        ";
        let Ok(workgroup) = check(wgsl) else { panic!("{}", refusal(wgsl)) };
        let refused = |name, most| workgroup.check(name, most).is_err();
        assert!(refused(Some("one"), 16_384) && !refused(Some("one"), 5_000_000));
        assert!(!refused(Some("two"), 64) && refused(Some("two"), 63));
        assert!(refused(None, 16_384) && !refused(Some("none"), 0));
    }

    #[test]
    fn a_text_that_is_too_long_is_refused_before_it_is_read() {
        assert!(refusal(&"-".repeat(TEXT + 1)).contains("longer"));
    }

    #[test]
    fn what_is_not_valid_is_left_to_who_says_what_is_wrong() {
        assert_eq!(refusal("fn main( {"), "");
    }
}
