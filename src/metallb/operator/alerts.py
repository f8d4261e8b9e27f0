"""The alerts, as data: the same as in `manifests/monitoring/alerts.yaml`, for those who install them by hand.

docs/reference/alerts.md says what to do about each.
"""

from __future__ import annotations

from typing import Any, Final

NAME: Final = "metallb-alerts"

GROUPS: Final[list[dict[str, Any]]] = [
    {
        "name": "metallb.configuration",
        "rules": [
            {
                "alert": "MetalLBStaleConfig",
                "expr": "metallb_k8s_client_config_stale_bool == 1",
                "for": "1m",
                "labels": {"severity": "warning"},
                "annotations": {
                    "summary": "MetalLB refuses its newest configuration",
                    "description": "{{ $labels.pod }} goes on with an older "
                    "configuration, because the newest one is invalid. Its "
                    "ConfigurationState and its log say which object, "
                    "field and value.",
                },
            },
            {
                "alert": "MetalLBConfigNotLoaded",
                "expr": "metallb_k8s_client_config_loaded_bool == 0 unless on (job, instance) (\n"
                '  leader_election_master_status{name="metallb-controller"} == 0\n'
                '  and on (job) leader_election_master_status{name="metallb-controller"} == '
                "1\n"
                ")",
                "for": "1m",
                "labels": {"severity": "warning"},
                "annotations": {
                    "summary": "MetalLB has no configuration",
                    "description": "{{ $labels.pod }} has not loaded a valid "
                    "configuration since its start, and does nothing until "
                    "then. Its ConfigurationState and its log say why.",
                },
            },
        ],
    },
    {
        "name": "metallb.pools",
        "rules": [
            {
                "alert": "MetalLBAddressPoolExhausted",
                "expr": "max by (pool) (metallb_allocator_addresses_in_use_total) >= max by (pool) "
                "(metallb_allocator_addresses_total)",
                "for": "1m",
                "labels": {"severity": "critical"},
                "annotations": {
                    "summary": "Pool {{ $labels.pool }} has no address left",
                    "description": "All addresses of pool {{ $labels.pool }} are in use "
                    "for more than a minute: Services that need another "
                    "one wait. Give the pool more addresses, or free "
                    "some.",
                },
            },
            {
                "alert": "MetalLBAddressPoolUsage95Percent",
                "expr": "max by (pool) (metallb_allocator_addresses_in_use_total) / max by (pool) "
                "(metallb_allocator_addresses_total) * 100 > 95",
                "for": "1m",
                "labels": {"severity": "critical"},
                "annotations": {
                    "summary": "Pool {{ $labels.pool }} is almost exhausted",
                    "description": "{{ $value | humanize }} % of the addresses of pool {{ $labels.pool }} are in use.",
                },
            },
            {
                "alert": "MetalLBAddressPoolUsage85Percent",
                "expr": "max by (pool) (metallb_allocator_addresses_in_use_total) / max by (pool) "
                "(metallb_allocator_addresses_total) * 100 > 85",
                "for": "5m",
                "labels": {"severity": "warning"},
                "annotations": {
                    "summary": "Pool {{ $labels.pool }} fills up",
                    "description": "{{ $value | humanize }} % of the addresses of pool {{ $labels.pool }} are in use.",
                },
            },
            {
                "alert": "MetalLBAddressPoolUsage75Percent",
                "expr": "max by (pool) (metallb_allocator_addresses_in_use_total) / max by (pool) "
                "(metallb_allocator_addresses_total) * 100 > 75",
                "for": "5m",
                "labels": {"severity": "warning"},
                "annotations": {
                    "summary": "Pool {{ $labels.pool }} fills up",
                    "description": "{{ $value | humanize }} % of the addresses of pool {{ $labels.pool }} are in use.",
                },
            },
        ],
    },
]
