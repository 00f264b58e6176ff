//! Rejects shaders that are valid but meant to break their compiler.
//!
//! wgpu's parser and validator hold shaders to WebGPU's rules. Some shaders that these rules allow take a driver's
//! compiler more memory than there is: a few lines can name a constant with as many parts as there are atoms, because
//! each array can contain the one before. This module rejects such shaders before a driver sees them. Shaders that only
//! take long have their deadline.

use std::collections::HashSet;

use naga::front::Typifier;
use naga::proc::ResolveContext;
use naga::{
    Arena, BinaryOperator, Block, Expression, Function, GlobalVariable, Handle, MathFunction, Module, Statement,
    TypeInner,
};

use crate::gpu::protocol::{GpuFailure, Result};

/// The longest shader, in bytes. Its parser needs some hundred bytes of stack for each of them, at worst.
pub(super) const TEXT: usize = 256 << 10;
/// The most scalars in one value that a shader writes out or computes with.
const PARTS: u64 = 1 << 16;
/// The most operations on scalars in a function and all functions that it calls. An operation on a vector of four
/// counts as four.
const OPERATIONS: u64 = 1 << 16;
/// The most branches in a function and all functions that it calls. Each access to memory is one branch, because its
/// bounds are checked: a load, a store or an atomic operation on buffers, workgroup or private memory, or on an element
/// of a local array. A compiler's time and memory grow with the square of their number. The largest kernels of burn
/// 0.22 for a network have 129 accesses and about 1,400 operations.
const BRANCHES: u64 = 1 << 11;
/// The number of branches that a loop counts as, because it gets counters that bound it.
const LOOP: u64 = 8;
/// The most bytes of the variables of one function, or of the private variables of an invocation. WGSL guarantees 8192.
const VARIABLES: u64 = 1 << 16;

/// The bytes of workgroup memory that each entry point of a shader takes, as far as they are known before the shader's
/// constants are set.
///
/// WebGPU limits them when a pipeline is made, but wgpu does not.
#[derive(Debug, Clone, Default)]
pub(super) struct Workgroup(Vec<(String, u64)>);

impl Workgroup {
    /// Rejects a pipeline of the entry point `name`, or of the only one, if it takes more than `most`.
    pub(super) fn check(&self, name: Option<&str>, most: u32) -> Result<()> {
        let Workgroup(entries) = self;
        let mut meant = entries.iter().filter(|(entry, _)| name.is_none_or(|name| name == entry));
        match meant.find(|(_, bytes)| *bytes > u64::from(most)) {
            None => Ok(()),
            Some((entry, bytes)) => Err(GpuFailure::invalid(format_args!(
                "the workgroup variables of `{entry}` have {bytes} bytes, more than the {most} of \
                 max-compute-workgroup-storage-size"
            ))),
        }
    }
}

/// Rejects `wgsl` if it exceeds a limit above. Accepts a shader that is not valid, because wgpu explains better what is
/// wrong.
pub(super) fn check(wgsl: &str) -> Result<Workgroup> {
    if wgsl.len() > TEXT {
        return Err(GpuFailure::unsupported(format_args!(
            "a shader of {} bytes is longer than the {TEXT} that it may be",
            wgsl.len()
        )));
    }
    let Ok(module) = naga::front::wgsl::parse_str(wgsl) else { return Ok(Workgroup::default()) };
    let constants = parts(&module, &module.global_expressions, &[]).ok_or_else(too_many_parts)?;
    let mut functions: Vec<Reach> = Vec::with_capacity(module.functions.len());
    // Each function comes after those that it calls.
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

/// The contents of a function after each call is replaced by the called function, as drivers do.
struct Reach {
    operations: u64,
    branches: u64,
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
    let mut reach =
        Reach { operations: operations(module, function), branches: loads(function), globals: globals.collect() };
    each(&function.body, &mut |statement| match statement {
        Statement::Call { function: callee, .. } => {
            if let Some(callee) = functions.get(callee.index()) {
                reach.operations = reach.operations.saturating_add(callee.operations);
                reach.branches = reach.branches.saturating_add(callee.branches);
                reach.globals.extend(&callee.globals);
            }
        }
        Statement::Store { pointer, .. } if is_in_memory(function, *pointer) => reach.branches += 1,
        Statement::Atomic { .. } | Statement::WorkGroupUniformLoad { .. } | Statement::If { .. } => reach.branches += 1,
        Statement::Switch { cases, .. } => reach.branches += u64::try_from(cases.len()).unwrap_or(u64::MAX),
        Statement::Loop { .. } => reach.branches += LOOP,
        _ => {}
    });
    let limits =
        [(reach.operations, OPERATIONS, "operations"), (reach.branches, BRANCHES, "branches and accesses to memory")];
    match limits.into_iter().find(|(count, most, _)| count > most) {
        None => Ok(reach),
        Some((_, most, what)) => Err(GpuFailure::unsupported(format_args!(
            "a function in the shader has more than {most} {what} with those of all functions that it calls: \
             use a loop, or split it into several entry points"
        ))),
    }
}

/// Returns the number of operations on scalars in the expressions of a function.
fn operations(module: &Module, function: &Function) -> u64 {
    let context = ResolveContext::with_locals(module, &function.local_variables, &function.arguments);
    let mut types = Typifier::new();
    let mut sum = 0_u64;
    for (handle, expression) in function.expressions.iter() {
        // Only a shader that is not valid has such an expression. wgpu says what is wrong with it.
        if types.grow(handle, &function.expressions, &context).is_err() {
            return sum;
        }
        let scalars = scalars_of(module, types.get(handle, &module.types));
        let each = match expression {
            Expression::Binary { op: BinaryOperator::Multiply, left, .. } => {
                match types.get(*left, &module.types) {
                    // Each scalar of the product is a sum of products.
                    TypeInner::Matrix { columns, .. } => u64::from(*columns as u8),
                    _ => 1,
                }
            }
            Expression::Math { fun, .. } => cost(*fun),
            _ => 1,
        };
        sum = sum.saturating_add(scalars.saturating_mul(each));
    }
    sum
}

/// Returns about how many operations a function of WGSL takes for each scalar of its result.
fn cost(function: MathFunction) -> u64 {
    use MathFunction as F;
    match function {
        F::Abs | F::Min | F::Max | F::Clamp | F::Saturate | F::Floor | F::Ceil | F::Round | F::Trunc | F::Fract => 1,
        F::Fma | F::Sqrt | F::Sign | F::Mix | F::Step | F::CountOneBits | F::ReverseBits => 2,
        F::Determinant | F::Inverse | F::Outer => 64,
        _ => 16,
    }
}

/// Returns the number of values that the expressions of a function load from memory.
fn loads(function: &Function) -> u64 {
    let loads = function.expressions.iter().filter(|(_, expression)| match expression {
        Expression::Load { pointer } => is_in_memory(function, *pointer),
        _ => false,
    });
    u64::try_from(loads.count()).unwrap_or(u64::MAX)
}

/// Returns true if a pointer leads to memory, not to a local variable that a compiler keeps in registers.
fn is_in_memory(function: &Function, pointer: Handle<Expression>) -> bool {
    let mut pointer = pointer;
    let mut has_index = false;
    loop {
        match function.expressions.try_get(pointer) {
            Ok(Expression::Access { base, .. }) => (pointer, has_index) = (*base, true),
            Ok(Expression::AccessIndex { base, .. }) => pointer = *base,
            Ok(Expression::LocalVariable(_)) => return has_index,
            _ => return true,
        }
    }
}

/// Calls `visit` with each statement in `block`, and in the blocks inside it.
fn each(block: &Block, visit: &mut impl FnMut(&Statement)) {
    for statement in block.iter() {
        visit(statement);
        match statement {
            Statement::Block(block) => each(block, visit),
            Statement::If { accept, reject, .. } => {
                each(accept, visit);
                each(reject, visit);
            }
            Statement::Switch { cases, .. } => cases.iter().for_each(|case| each(&case.body, visit)),
            Statement::Loop { body, continuing, .. } => {
                each(body, visit);
                each(continuing, visit);
            }
            _ => {}
        }
    }
}

fn too_many_parts() -> GpuFailure {
    GpuFailure::unsupported(format_args!("a value in the shader has more than {PARTS} parts: put it into a buffer"))
}

/// Returns the number of scalars in each of `expressions`, written out; `None` if one has too many. `constants` are the
/// numbers for the module's own expressions, and empty while those are counted.
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
                // A module's own expressions come before the constants that they make.
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

/// Returns the number of scalars in a type, at least one.
fn scalars(module: &Module, ty: Handle<naga::Type>) -> u64 {
    module.types.get_handle(ty).map_or(1, |ty| scalars_of(module, &ty.inner))
}

fn scalars_of(module: &Module, inner: &TypeInner) -> u64 {
    size_of(module, inner).map_or(1, |size| (size / 4).max(1))
}

fn size(module: &Module, ty: Handle<naga::Type>) -> Option<u64> {
    size_of(module, &module.types.get_handle(ty).ok()?.inner)
}

/// Returns the bytes of a type; `None` if its size is known only when a buffer is bound.
fn size_of(module: &Module, inner: &TypeInner) -> Option<u64> {
    match inner {
        TypeInner::Array { size: naga::ArraySize::Dynamic, .. } => None,
        inner => Some(inner.try_size(module.to_ctx()).map_or(u64::MAX, u64::from)),
    }
}

fn fits(module: &Module, types: impl Iterator<Item = Handle<naga::Type>>, what: &str) -> Result<()> {
    let bytes = types.filter_map(|ty| size(module, ty)).fold(0_u64, u64::saturating_add);
    match bytes <= VARIABLES {
        true => Ok(()),
        false => Err(GpuFailure::unsupported(format_args!(
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
    fn a_normal_shader_passes() {
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

    /// Returns a shader whose entry point has `count` statements.
    fn statements(count: usize, statement: &str) -> String {
        format!(
            "@group(0) @binding(0) var<storage, read_write> data: array<atomic<u32>>;
             @group(0) @binding(1) var<storage, read_write> plain: array<u32>;
             var<workgroup> shared_sum: u32;
             fn add(at: u32) {{ atomicAdd(&data[at], 1u); }}
             @compute @workgroup_size(1) fn main(@builtin(local_invocation_index) id: u32) {{
                 var local = id;
                 var table: array<u32, 8>;
                 {}
             }}",
            statement.repeat(count)
        )
    }

    #[test]
    fn an_entry_point_with_too_many_branches_is_refused() {
        let most = usize::try_from(BRANCHES).unwrap_or(usize::MAX);
        for (statement, branches) in [
            ("atomicAdd(&data[7], 1u);", 1),
            ("plain[id] = 1u;", 1),
            ("local = plain[local];", 1),
            ("shared_sum += 1u;", 2),
            ("table[local] = 1u;", 1),
            ("add(id);", 1),
            ("if local == 7u { local = 3u; }", 1),
            ("switch local { case 7u: { local = 3u; } default: {} }", 2),
            ("while local < id { local += 1u; }", 9),
        ] {
            let count = most / branches;
            assert_eq!(refusal(&statements(count, statement)), "", "{statement}");
            let refused = refusal(&statements(count + 1, statement));
            assert!(refused.contains("accesses to memory"), "{statement}: {refused}");
        }
    }

    #[test]
    fn an_entry_point_with_too_many_operations_is_refused() {
        for (count, statement) in [
            (2_000, "matrix = matrix * matrix;"),
            (10_000, "vector = vector * vector;"),
            (2_000, "matrix[0][0] = determinant(matrix);"),
            (5_000, "vector.x = pow(vector.x, 2.5);"),
        ] {
            let declared = "var matrix: mat4x4<f32>; var vector: vec4<f32>;";
            let shader = |count| statements(1, &format!("{declared} {}", statement.repeat(count)));
            assert_eq!(refusal(&shader(count / 100)), "", "{statement}");
            assert!(refusal(&shader(count)).contains("operations"), "{statement}: {}", refusal(&shader(count)));
        }
    }

    #[test]
    fn local_variables_are_no_accesses_to_memory() {
        assert_eq!(refusal(&statements(5_000, "local = local + 1u; table[3] = id;")), "");
    }

    #[test]
    fn an_entry_point_has_the_workgroup_memory_of_all_that_it_calls() {
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
    fn a_shader_that_is_not_valid_passes_and_is_left_to_wgpu() {
        assert_eq!(refusal("fn main( {"), "");
    }
}
