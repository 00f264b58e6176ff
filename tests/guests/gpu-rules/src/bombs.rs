//! Texts that would take all the time or memory of a compiler. Each must be compiled or rejected, and leave the host
//! unharmed.

use std::fmt::Write;

use chainlet::Result;

use crate::hostile::works;
use crate::lab::{Lab, SLOW};
use crate::steps::{Steps, words};

const OUT: &str = "@group(0) @binding(0) var<storage, read_write> all: array<u32>;\n";

/// A shader with one function, whose body is `body`.
fn shader(before: &str, body: &str) -> String {
    format!("{OUT}{before}\n@compute @workgroup_size(1) fn main(@builtin(workgroup_id) id: vec3<u32>) {{ {body} }}")
}

/// A chain of declarations. Each is made from the one before.
fn chain(count: usize, first: &str, next: impl Fn(usize, usize) -> String) -> String {
    let mut text = first.to_owned();
    for number in 1..count {
        let _ = writeln!(text, "{}", next(number, number - 1));
    }
    text
}

/// Returns the bomb `name`; `None` if there is none of this name.
fn bomb(name: &str) -> Option<String> {
    let nested = |open: &str, inner: &str, close: &str, count: usize| {
        let nested = format!("{}{inner}{}", open.repeat(count), close.repeat(count));
        shader("", &format!("all[0] = u32({nested});"))
    };
    Some(match name {
        "parentheses" => nested("(", "id.x", ")", 10_000),
        "negations" => nested("- ", "i32(id.x)", "", 130_000),
        "complements" => nested("~", "id.x", "", 261_000),
        "references" => shader("", &format!("var x = id.x; all[0] = {}x;", "*&".repeat(130_000))),
        "sum" => nested("id.x + ", "1u", "", 30_000),
        "sum-of-constants" => shader("", &format!("all[0] = 1{};", "+1".repeat(130_000))),
        "conjunction" => shader("", &format!("if true{} {{ all[0] = 1u; }}", " && id.x > 1u".repeat(15_000))),
        "swizzles" => shader("", &format!("let v = id.xy; all[0] = v{}.x;", ".xy".repeat(87_000))),
        "calls" => nested("max(1u, ", "id.x", ")", 10_000),
        "indices" => nested("all[", "id.x", "]", 10_000),
        "blocks" => shader("", &format!("{}{}", "{".repeat(100_000), "}".repeat(100_000))),
        "else-ifs" => shader("", &chain(8_000, "if id.x == 0u {}", |i, _| format!("else if id.x == {i}u {{}}"))),
        "cases" => {
            let cases = chain(8_000, "", |i, _| format!("case {i}u: {{ all[{i}] = {i}u; }}"));
            shader("", &format!("switch id.x {{ {cases} default: {{}} }}"))
        }
        "loops" => {
            let loops: String = (0..100).map(|i| format!("for (var i{i} = 0u; i{i} < 2u; i{i}++) {{")).collect();
            shader("", &format!("{loops} all[0] += 1u; {}", "}".repeat(100)))
        }
        "types" => shader(&format!("var<private> v: {}u32{};", "array<".repeat(30_000), ", 1>".repeat(30_000)), ""),
        "structs" => {
            let structs = chain(5_000, "struct S0 { a: u32 }\n", |i, before| format!("struct S{i} {{ a: S{before} }}"));
            shader(&format!("{structs} var<private> v: S4999;"), "all[0] = 1u;")
        }
        "members" => {
            let members: String = (0..15_000).map(|i| format!("m{i}: u32,")).collect();
            shader(&format!("struct S {{ {members} }} var<private> v: S;"), "v.m5 = id.x; all[0] = v.m7;")
        }
        "aliases" => shader(&chain(10_000, "alias A0 = u32;\n", |i, before| format!("alias A{i} = A{before};")), ""),
        "constants" => {
            let constants = chain(8_000, "const c0 = 1u;\n", |i, before| format!("const c{i} = c{before} + 1u;"));
            shader(&constants, "all[0] = c7999;")
        }
        "overrides" => {
            let overrides = chain(5_000, "override o0 = 1u;\n", |i, before| format!("override o{i} = o{before} + 1u;"));
            shader(&overrides, "all[0] = o4999;")
        }
        "doubling-constants" => {
            let first = "const c0 = array(1u, 2u);\n";
            let constants = chain(26, first, |i, before| format!("const c{i} = array(c{before}, c{before});"));
            shader(&constants, &format!("var x = c25; all[0] = x{}[id.x];", "[0]".repeat(25)))
        }
        "doubling-calls" => {
            let first = "fn f0(x: u32) -> u32 { return all[x]; }\n";
            let calls = chain(26, first, |i, before| {
                format!("fn f{i}(x: u32) -> u32 {{ return f{before}(x) + f{before}(x + 1u); }}")
            });
            shader(&calls, "all[0] = f25(id.x);")
        }
        "chain-of-calls" => {
            let first = "fn f0(x: u32) -> u32 { return x; }\n";
            let calls =
                chain(4_000, first, |i, before| format!("fn f{i}(x: u32) -> u32 {{ return f{before}(x) + 1u; }}"));
            shader(&calls, "all[0] = f3999(id.x);")
        }
        "constant-array" => shader("const c = array<u32, 100000000>();", "all[0] = c[5];"),
        "indexed-constant-array" => shader("const c = array<u32, 1000000>();", "var x = c; all[0] = x[id.x];"),
        "private-array" => shader("var<private> v: array<u32, 100000>;", "v[id.x] = 1u; all[0] = v[all[0]];"),
        "local-array" => shader("", "var v: array<u32, 10000000>; v[id.x] = 1u; all[0] = v[all[0]];"),
        "shared-array" => shader("var<workgroup> v: array<u32, 10000000>;", "v[id.x] = 1u; all[0] = v[all[0]];"),
        "overridden-array" => {
            let before = "override n: u32 = 10000000u; var<workgroup> v: array<u32, n>;";
            shader(before, "v[id.x] = 1u; all[0] = v[all[0]];")
        }
        "array-of-arrays" => {
            let before = "alias A = array<array<array<u32, 4096>, 4096>, 4096>; var<private> v: A;";
            shader(before, "all[0] = v[id.x][0][0];")
        }
        "copied-array" => shader("", "var a: array<array<u32, 64>, 2000>; let c = a; a = c; all[0] = a[id.x][0];"),
        "returned-array" => {
            let before = "struct S { v: array<u32, 2000> } fn f(x: u32) -> S { var s: S; s.v[x] = 1u; return s; }";
            shader(before, "var d = f(id.x); all[0] = d.v[id.x];")
        }
        "selections" => {
            let first = "let s0 = id.x;\n";
            let selections = chain(4_000, first, |i, before| {
                format!("let s{i} = select(s{before}, s{before} + 1u, s{before} > all[{i}]);")
            });
            shader("", &format!("{selections} all[0] = s3999;"))
        }
        "statements" => shader("", &"all[0] += 1u;".repeat(15_000)),
        "functions" => shader(&chain(5_000, "", |i, _| format!("fn f{i}(x: u32) -> u32 {{ return x + {i}u; }}")), ""),
        "comments" => format!("{}{}", "/*".repeat(60_000), "*/".repeat(60_000)),
        "identifier" => shader("", &format!("let {0} = 1u; all[0] = {0};", "a".repeat(100_000))),
        "garbage" => "💥 fn @@ << }{ ".repeat(10_000),
        "open" => "(".repeat(250_000),
        "braces" => "{".repeat(250_000),
        "long-number" => shader("", &format!("all[0] = u32({}.0);", "9".repeat(200_000))),
        "megabytes" => shader("", &"all[0] += 1u;\n".repeat(500_000)),
        "megabytes-of-signs" => nested("~", "id.x", "", 4_000_000),
        "megabytes-of-space" => " ".repeat(8 << 20),
        "compiled-late" => {
            SLOW.replace("x = x * 1664525u", &format!("x = x{}", " * 1664525u ^ all[x % 7u]".repeat(500)))
        }
        _ => return None,
    })
}

/// Compiles a bomb, runs it as far as possible, and then checks that all is well.
pub fn explode(name: &str) -> Result<String> {
    let mut steps = Steps::default();
    let text = bomb(name).ok_or("there is no such bomb")?;
    let outcome = run(&text).unwrap_or_else(|error| format!("{error:?}"));
    steps.holds(&format!("{name} is told in some way"), !outcome.trim().is_empty());
    // A worker may still be compiling a bomb whose device was dropped. If that ends the worker, the next scenario fails
    // as well, so there are several tries.
    let all_is_well = (0..5).any(|_| {
        let mut steps = Steps::default();
        works(&mut steps).is_ok() && steps.end().is_ok()
    });
    steps.holds("a new device works", all_is_well);
    println!("{name}: {outcome}");
    steps.end()
}

fn run(text: &str) -> Result<String> {
    let lab = Lab::open()?;
    let all = lab.numbers(&[1; 4096])?;
    let run = lab.run_shader(text, &[&all], 1).and_then(|_| lab.device.wait_blocking(None));
    Ok(run.map_or_else(|error| words(&error), |()| "it ran".to_owned()))
}
