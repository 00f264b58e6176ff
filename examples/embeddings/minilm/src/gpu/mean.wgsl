// Computes the vector of a text: the mean of its rows, scaled to length 1. One workgroup computes one text.

/// The length of a row.
override WIDTH: u32;

/// The rows of a text.
struct Text {
    start: u32,
    end: u32,
}

@group(0) @binding(0) var<storage, read> texts: array<Text>;
@group(0) @binding(1) var<storage, read> rows: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> vectors: array<vec4<f32>>;

var<workgroup> squares: array<f32, 32>;

@compute @workgroup_size(32)
fn mean(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let text = texts[workgroup.x];
    let width = WIDTH / 4u;
    let vector = workgroup.x * width;

    // Dividing the sum by the number of rows would not change its direction.
    var square = 0.0;
    for (var column = lane; column < width; column += 32u) {
        var sum = vec4(0.0);
        for (var row = text.start; row < text.end; row++) {
            sum += rows[row * width + column];
        }
        vectors[vector + column] = sum;
        square += dot(sum, sum);
    }
    squares[lane] = square;
    for (var half = 16u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if lane < half {
            squares[lane] += squares[lane + half];
        }
    }
    workgroupBarrier();
    let factor = inverseSqrt(max(squares[0], 1.0e-24));

    // No barrier is needed: each invocation reads only the numbers that it wrote itself.
    for (var column = lane; column < width; column += 32u) {
        vectors[vector + column] *= factor;
    }
}
