// The product of two matrices. Each workgroup computes one square tile of it, each invocation one value.

struct Shape {
    rows: u32,
    inner: u32,
    columns: u32,
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> a: array<f32>;
@group(0) @binding(2) var<storage, read> b: array<f32>;
@group(0) @binding(3) var<storage, read_write> product: array<f32>;

// The side of a tile.
const SIDE: u32 = 16;

// A tile of each matrix, in the memory of the workgroup: each value is loaded once and used SIDE times.
var<workgroup> tile_a: array<f32, SIDE * SIDE>;
var<workgroup> tile_b: array<f32, SIDE * SIDE>;

@compute @workgroup_size(SIDE, SIDE)
fn matmul(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
    let row = workgroup.y * SIDE + local.y;
    let column = workgroup.x * SIDE + local.x;
    let here = local.y * SIDE + local.x;
    var sum = 0.0;
    for (var start = 0u; start < shape.inner; start += SIDE) {
        // Values beyond the edges are zeros. Invocations beyond the edges load as well, because the others wait for
        // them at the barriers.
        tile_a[here] = 0.0;
        tile_b[here] = 0.0;
        if row < shape.rows && start + local.x < shape.inner {
            tile_a[here] = a[row * shape.inner + start + local.x];
        }
        if start + local.y < shape.inner && column < shape.columns {
            tile_b[here] = b[(start + local.y) * shape.columns + column];
        }
        workgroupBarrier();
        for (var k = 0u; k < SIDE; k++) {
            sum += tile_a[local.y * SIDE + k] * tile_b[k * SIDE + local.x];
        }
        workgroupBarrier();
    }
    if row < shape.rows && column < shape.columns {
        product[row * shape.columns + column] = sum;
    }
}
