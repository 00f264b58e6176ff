//! Converts features and limits between the host's form and wgpu's.

use wgpu::{Features, Limits};

use crate::host::chainlet::host::gpu as host;

/// Each feature of the host, and the same feature of wgpu.
const FEATURES: [(host::Features, Features); 11] = [
    (host::Features::TIMESTAMP_QUERY, Features::TIMESTAMP_QUERY),
    (host::Features::SHADER_F16, Features::SHADER_F16),
    (host::Features::SHADER_F64, Features::SHADER_F64),
    (host::Features::SHADER_I16, Features::SHADER_I16),
    (host::Features::SHADER_INT64, Features::SHADER_INT64),
    (host::Features::SHADER_INT64_ATOMIC_MIN_MAX, Features::SHADER_INT64_ATOMIC_MIN_MAX),
    (host::Features::SHADER_INT64_ATOMIC_ALL_OPS, Features::SHADER_INT64_ATOMIC_ALL_OPS),
    (host::Features::SHADER_FLOAT32_ATOMIC, Features::SHADER_FLOAT32_ATOMIC),
    (host::Features::SUBGROUP, Features::SUBGROUP),
    (host::Features::SUBGROUP_BARRIER, Features::SUBGROUP_BARRIER),
    (host::Features::IMMEDIATES, Features::IMMEDIATES),
];

/// Converts the host's features to wgpu's.
pub fn features_of(features: host::Features) -> Features {
    let known = FEATURES.into_iter().filter(|(host, _)| features.contains(*host));
    known.fold(Features::empty(), |all, (_, feature)| all | feature)
}

/// Converts wgpu's features to the host's. Fails with those that the host does not have.
pub fn required_features(features: Features) -> Result<host::Features, Features> {
    let known = FEATURES.into_iter().filter(|(_, feature)| features.contains(*feature));
    let required = known.fold(host::Features::empty(), |all, (host, _)| all | host);
    let absent = features.difference(features_of(required));
    if absent.is_empty() { Ok(required) } else { Err(absent) }
}

/// Writes two functions that convert the limits that both have.
macro_rules! limits {
    ($($name:ident),* $(,)?) => {
        /// Converts the host's limits to wgpu's. Those that the host does not know come from `others`.
        pub fn limits_of(limits: &host::Limits, others: Limits) -> Limits {
            Limits { $($name: limits.$name,)* ..others }
        }

        fn to_host(limits: &Limits) -> host::Limits {
            host::Limits { $($name: limits.$name,)* }
        }
    };
}

limits! {
    max_bind_groups,
    max_bindings_per_bind_group,
    max_dynamic_uniform_buffers_per_pipeline_layout,
    max_dynamic_storage_buffers_per_pipeline_layout,
    max_storage_buffers_per_shader_stage,
    max_uniform_buffers_per_shader_stage,
    max_uniform_buffer_binding_size,
    max_storage_buffer_binding_size,
    max_buffer_size,
    min_uniform_buffer_offset_alignment,
    min_storage_buffer_offset_alignment,
    max_compute_workgroup_storage_size,
    max_compute_invocations_per_workgroup,
    max_compute_workgroup_size_x,
    max_compute_workgroup_size_y,
    max_compute_workgroup_size_z,
    max_compute_workgroups_per_dimension,
    max_immediate_size,
}

/// Converts wgpu's limits to the host's.
///
/// A quota may be smaller than the buffers that WebGPU guarantees. If a limit is not above the guaranteed one, the code
/// probably did not choose it, so it gets what is offered.
pub fn required_limits(limits: &Limits, offered: &host::Limits) -> host::Limits {
    let guaranteed = Limits::default();
    let fit = |limit: u64, guaranteed: u64, offered: u64| if limit <= guaranteed { limit.min(offered) } else { limit };
    host::Limits {
        max_buffer_size: fit(limits.max_buffer_size, guaranteed.max_buffer_size, offered.max_buffer_size),
        max_storage_buffer_binding_size: fit(
            limits.max_storage_buffer_binding_size,
            guaranteed.max_storage_buffer_binding_size,
            offered.max_storage_buffer_binding_size,
        ),
        ..to_host(limits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_convert_in_both_directions() {
        let all = features_of(host::Features::all());
        assert_eq!(required_features(all).unwrap().bits(), host::Features::all().bits());
        assert_eq!(
            required_features(Features::SUBGROUP | Features::SHADER_F16).map(features_of).unwrap(),
            Features::SUBGROUP | Features::SHADER_F16
        );
    }

    #[test]
    fn missing_features_are_named() {
        let wanted = Features::SUBGROUP | Features::MAPPABLE_PRIMARY_BUFFERS;
        assert_eq!(required_features(wanted).unwrap_err(), Features::MAPPABLE_PRIMARY_BUFFERS);
    }

    #[test]
    fn guaranteed_sizes_shrink_to_a_smaller_quota() {
        let offered = host::Limits { max_buffer_size: 1 << 20, ..to_host(&Limits::default()) };
        assert_eq!(required_limits(&Limits::default(), &offered).max_buffer_size, 1 << 20);
        let more = Limits { max_buffer_size: 1 << 30, ..Limits::default() };
        assert_eq!(required_limits(&more, &offered).max_buffer_size, 1 << 30, "which the host refuses");
        let less = Limits { max_buffer_size: 1 << 10, ..Limits::default() };
        assert_eq!(required_limits(&less, &offered).max_buffer_size, 1 << 10);
    }
}
