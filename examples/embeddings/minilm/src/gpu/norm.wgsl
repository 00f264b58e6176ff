// Brings each row to mean 0 and variance 1, and then multiplies and shifts it. One workgroup computes one row.

/// The length of a row.
override WIDTH: u32;
/// A small number that keeps the norm from dividing by zero.
override EPSILON: f32;

@group(0) @binding(0) var<storage, read> scale: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> shift: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> rows: array<vec4<f32>>;

var<workgroup> sums: array<f32, 32>;

/// Returns the sum over the workgroup to each invocation.
fn sum(lane: u32, number: f32) -> f32 {
    // All invocations must have read the previous sum before it is overwritten.
    workgroupBarrier();
    sums[lane] = number;
    for (var half = 16u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if lane < half {
            sums[lane] += sums[lane + half];
        }
    }
    workgroupBarrier();
    return sums[0];
}

@compute @workgroup_size(32)
fn norm(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let width = WIDTH / 4u;
    let row = workgroup.x * width;

    var of_lane = 0.0;
    for (var column = lane; column < width; column += 32u) {
        of_lane += dot(rows[row + column], vec4(1.0));
    }
    let mean = sum(lane, of_lane) / f32(WIDTH);

    of_lane = 0.0;
    for (var column = lane; column < width; column += 32u) {
        let centred = rows[row + column] - mean;
        of_lane += dot(centred, centred);
    }
    let factor = inverseSqrt(sum(lane, of_lane) / f32(WIDTH) + EPSILON);

    for (var column = lane; column < width; column += 32u) {
        let centred = rows[row + column] - mean;
        rows[row + column] = centred * factor * scale[column] + shift[column];
    }
}
