// Multiplies rows with a matrix. One workgroup computes a tile of 64 rows and 64 outputs. Each of its 256 invocations
// computes 4 rows and 4 outputs of the tile, with the sums in registers. The workgroup goes through the inputs 32 at a
// time: it loads those of the tile into its memory, which all its invocations read.

/// The length of an input row: a multiple of 32.
override INPUTS: u32;
/// The length of an output row: a multiple of 64.
override OUTPUTS: u32;
/// True if the product is added to the numbers in the output.
override ADDS: bool = false;
/// True if GELU is applied to the product.
override BENDS: bool = false;

@group(0) @binding(0) var<uniform> rows: u32;
@group(0) @binding(1) var<storage, read> input: array<vec4<f32>>;
/// One row for each output, with the weight of each input.
@group(0) @binding(2) var<storage, read> weights: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> bias: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> output: array<vec4<f32>>;

/// For each of 32 inputs: its numbers in 64 rows, and its weights for 64 outputs.
var<workgroup> input_tile: array<vec4<f32>, 512>;
var<workgroup> weight_tile: array<vec4<f32>, 512>;

/// Returns the index, in a tile, of four rows or outputs of the first of four inputs. The columns are exchanged,
/// because neighbouring invocations write different inputs of the tile. Neighbours that write to the same bank of
/// memory would wait for each other.
fn place(inputs: u32, column: u32) -> u32 {
    return inputs * 64u + (column ^ inputs);
}

/// The error function, by the same formula as on the processor.
fn erf(number: vec4<f32>) -> vec4<f32> {
    let x = clamp(number, vec4(-4.0), vec4(4.0));
    let s = x * x;
    var above = vec4(-2.72614225801306e-10);
    above = above * s + 2.77068142495902e-08;
    above = above * s - 2.10102402082508e-06;
    above = above * s - 5.69250639462346e-05;
    above = above * s - 7.34990630326855e-04;
    above = above * s - 2.95459980854025e-03;
    above = above * s - 1.60960333262415e-02;
    var below = vec4(-1.45660718464996e-05);
    below = below * s - 2.13374055278905e-04;
    below = below * s - 1.68282697438203e-03;
    below = below * s - 7.37332916720468e-03;
    below = below * s - 1.42647390514189e-02;
    return x * above / below;
}

@compute @workgroup_size(256)
fn linear(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    // Half of the invocations load rows, the other half weights. Each loads four inputs of four rows or outputs.
    let brought = lane % 128u;
    let brought_inputs = brought % 8u;
    let brought_column = brought / 8u;
    let stride = INPUTS / 4u;
    let first = select(workgroup.y, workgroup.x, lane >= 128u) * 64u + brought_column * 4u;
    let source = first * stride + brought_inputs;

    let column = lane % 16u;
    let row = lane / 16u;
    var sum_0 = vec4(0.0);
    var sum_1 = vec4(0.0);
    var sum_2 = vec4(0.0);
    var sum_3 = vec4(0.0);

    for (var start = 0u; start < stride; start += 8u) {
        workgroupBarrier();
        let to = place(brought_inputs, brought_column);
        if lane < 128u {
            let four = transpose(mat4x4(
                input[source + start],
                input[source + start + stride],
                input[source + start + 2u * stride],
                input[source + start + 3u * stride],
            ));
            input_tile[to] = four[0];
            input_tile[to + 16u] = four[1];
            input_tile[to + 32u] = four[2];
            input_tile[to + 48u] = four[3];
        } else {
            let four = transpose(mat4x4(
                weights[source + start],
                weights[source + start + stride],
                weights[source + start + 2u * stride],
                weights[source + start + 3u * stride],
            ));
            weight_tile[to] = four[0];
            weight_tile[to + 16u] = four[1];
            weight_tile[to + 32u] = four[2];
            weight_tile[to + 48u] = four[3];
        }
        workgroupBarrier();
        for (var inputs = 0u; inputs < 8u; inputs++) {
            let from_rows = place(inputs, row);
            let from_weights = place(inputs, column);
            // The same code four times: a loop would cost more than its body.
            var numbers = input_tile[from_rows];
            var weight = weight_tile[from_weights];
            sum_0 += numbers.x * weight;
            sum_1 += numbers.y * weight;
            sum_2 += numbers.z * weight;
            sum_3 += numbers.w * weight;
            numbers = input_tile[from_rows + 16u];
            weight = weight_tile[from_weights + 16u];
            sum_0 += numbers.x * weight;
            sum_1 += numbers.y * weight;
            sum_2 += numbers.z * weight;
            sum_3 += numbers.w * weight;
            numbers = input_tile[from_rows + 32u];
            weight = weight_tile[from_weights + 32u];
            sum_0 += numbers.x * weight;
            sum_1 += numbers.y * weight;
            sum_2 += numbers.z * weight;
            sum_3 += numbers.w * weight;
            numbers = input_tile[from_rows + 48u];
            weight = weight_tile[from_weights + 48u];
            sum_0 += numbers.x * weight;
            sum_1 += numbers.y * weight;
            sum_2 += numbers.z * weight;
            sum_3 += numbers.w * weight;
        }
    }

    let output_column = workgroup.x * 16u + column;
    let output_row = workgroup.y * 64u + row * 4u;
    finish(output_row, output_column, sum_0);
    finish(output_row + 1u, output_column, sum_1);
    finish(output_row + 2u, output_column, sum_2);
    finish(output_row + 3u, output_column, sum_3);
}

/// Writes four sums of a row. The last tile may have more rows than there are.
fn finish(row: u32, column: u32, sum: vec4<f32>) {
    if row >= rows {
        return;
    }
    var product = sum + bias[column];
    if BENDS {
        product *= 0.5 + 0.5 * erf(product * 0.70710678118654752);
    }
    let place = row * (OUTPUTS / 4u) + column;
    if ADDS {
        product += output[place];
    }
    output[place] = product;
}
