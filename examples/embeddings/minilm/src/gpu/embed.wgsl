// Makes a row for each token, from the token and its position in its text. One workgroup makes one row.

/// The length of a row.
override WIDTH: u32;

@group(0) @binding(0) var<storage, read> ids: array<u32>;
@group(0) @binding(1) var<storage, read> positions: array<u32>;
@group(0) @binding(2) var<storage, read> word_vectors: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> position_vectors: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> rows: array<vec4<f32>>;

@compute @workgroup_size(32)
fn embed(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let row = workgroup.x;
    let width = WIDTH / 4u;
    let word = ids[row] * width;
    let position = positions[row] * width;
    for (var column = lane; column < width; column += 32u) {
        rows[row * width + column] = word_vectors[word + column] + position_vectors[position + column];
    }
}
