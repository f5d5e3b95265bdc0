{{
    config(
        materialized='view',
        meta={'preview_day': 'business_day', 'days_of': 'intermediate.int_inventory__snapshots.landed_on'},
    )
}}

with snapshots as (
    select
        landed_on as business_day,
        store_id,
        product_id,
        on_hand,
        reserved,
        on_hand - reserved as available,
        reorder_point,
        extracted_at as snapshot_taken_at
    from {{ ref('int_inventory__snapshots') }}
),

lines as (
    select * from {{ ref('fct_order_lines') }}
),

-- One row per day looked back on: a join on equality alone lets a filter on the business day reach the order lines.
demand_days as (
    select
        snapshots.*,
        snapshots.business_day - offsets.days_back as demand_day
    from snapshots
    cross join (
        values {% for days_back in range(28) %}
        ({{ days_back }}){{ ',' if not loop.last }}
        {%- endfor %}
    ) as offsets (days_back)
),

demanded as (
    select
        demand_days.business_day,
        demand_days.store_id,
        demand_days.product_id,
        demand_days.on_hand,
        demand_days.reserved,
        demand_days.available,
        demand_days.reorder_point,
        demand_days.snapshot_taken_at,
        coalesce(sum(lines.net_units), 0) as net_units_28d
    from demand_days
    left join lines
        on demand_days.demand_day = lines.business_day
        and demand_days.store_id = lines.store_id
        and demand_days.product_id = lines.product_id
    group by 1, 2, 3, 4, 5, 6, 7, 8
),

final as (
    select
        business_day,
        store_id,
        product_id,
        cast(on_hand as bigint) as on_hand,
        cast(reserved as bigint) as reserved,
        cast(available as bigint) as available,
        cast(reorder_point as bigint) as reorder_point,
        available < reorder_point as is_below_reorder_point,
        cast(net_units_28d as bigint) as net_units_28d,
        {{ ratio('available * 28', 'net_units_28d', 18, 2) }} as inventory_cover_days,
        snapshot_taken_at
    from demanded
)

select * from final
