// Attention: lets the tokens of a text look at each other. One workgroup computes one head of up to 64 tokens of a
// text, and each of its invocations one token. It goes through all tokens of the text, 32 at a time, and loads their
// keys and values into the workgroup's memory. The weights are never stored. Each output is summed up with weights
// relative to the best score so far, and scaled down when a better score comes.

/// The length of a row. A row of `asked` is three times as long: query, key and value.
override WIDTH: u32;

/// Up to 64 tokens of a text.
struct Part {
    /// The first row of the text.
    start: u32,
    /// The row after the last of the text.
    end: u32,
    /// The first row of these tokens.
    first: u32,
    unused: u32,
}

@group(0) @binding(0) var<storage, read> parts: array<Part>;
@group(0) @binding(1) var<storage, read> asked: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> told: array<vec4<f32>>;

/// The length of a head, in vectors of four numbers.
const HEAD: u32 = 8u;
/// The number of tokens that are loaded at a time.
const MANY: u32 = 32u;

var<workgroup> keys: array<vec4<f32>, 256>;
var<workgroup> values: array<vec4<f32>, 256>;

@compute @workgroup_size(64)
fn attend(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let part = parts[workgroup.x];
    let width = WIDTH / 4u;
    let head = workgroup.y * HEAD;

    // Invocations beyond the last token compute the same as the last one, and write nothing.
    let row = part.first + lane;
    let query = min(row, part.end - 1u) * 3u * width + head;
    // 1 / √32: products of longer vectors are larger.
    let scale = 0.17677669529663687;
    let query_0 = asked[query] * scale;
    let query_1 = asked[query + 1u] * scale;
    let query_2 = asked[query + 2u] * scale;
    let query_3 = asked[query + 3u] * scale;
    let query_4 = asked[query + 4u] * scale;
    let query_5 = asked[query + 5u] * scale;
    let query_6 = asked[query + 6u] * scale;
    let query_7 = asked[query + 7u] * scale;

    var best = -3.0e38;
    var total = 0.0;
    var told_0 = vec4(0.0);
    var told_1 = vec4(0.0);
    var told_2 = vec4(0.0);
    var told_3 = vec4(0.0);
    var told_4 = vec4(0.0);
    var told_5 = vec4(0.0);
    var told_6 = vec4(0.0);
    var told_7 = vec4(0.0);

    for (var start = part.start; start < part.end; start += MANY) {
        let many = min(MANY, part.end - start);
        workgroupBarrier();
        for (var place = lane; place < many * HEAD; place += 64u) {
            let source = (start + place / HEAD) * 3u * width + head + place % HEAD;
            keys[place] = asked[source + width];
            values[place] = asked[source + 2u * width];
        }
        workgroupBarrier();
        for (var token = 0u; token < many; token++) {
            let place = token * HEAD;
            var score = dot(query_0, keys[place]) + dot(query_1, keys[place + 1u]);
            score += dot(query_2, keys[place + 2u]) + dot(query_3, keys[place + 3u]);
            score += dot(query_4, keys[place + 4u]) + dot(query_5, keys[place + 5u]);
            score += dot(query_6, keys[place + 6u]) + dot(query_7, keys[place + 7u]);
            if score > best {
                let shrink = exp(best - score);
                best = score;
                total *= shrink;
                told_0 *= shrink;
                told_1 *= shrink;
                told_2 *= shrink;
                told_3 *= shrink;
                told_4 *= shrink;
                told_5 *= shrink;
                told_6 *= shrink;
                told_7 *= shrink;
            }
            let weight = exp(score - best);
            total += weight;
            told_0 += weight * values[place];
            told_1 += weight * values[place + 1u];
            told_2 += weight * values[place + 2u];
            told_3 += weight * values[place + 3u];
            told_4 += weight * values[place + 4u];
            told_5 += weight * values[place + 5u];
            told_6 += weight * values[place + 6u];
            told_7 += weight * values[place + 7u];
        }
    }

    if row < part.end {
        let place = row * width + head;
        told[place] = told_0 / total;
        told[place + 1u] = told_1 / total;
        told[place + 2u] = told_2 / total;
        told[place + 3u] = told_3 / total;
        told[place + 4u] = told_4 / total;
        told[place + 5u] = told_5 / total;
        told[place + 6u] = told_6 / total;
        told[place + 7u] = told_7 / total;
    }
}
