//! Tells cargo that the program holds a copy of the Python SDK, which a macro cannot tell.

fn main() {
    println!("cargo::rerun-if-changed=python");
}
