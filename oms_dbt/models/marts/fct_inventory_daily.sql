{{ config(materialized='view') }}

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

-- The 28 days a business day looks back on, as pairs to join on: a filter on the business day then reaches the lines.
demand_days as (
    select
        days.date_day as business_day,
        days.date_day - offsets.days_back as demand_day
    from {{ ref('dim_dates') }} as days
    cross join (
        {% for days_back in range(28) -%}
        select {{ days_back }} as days_back {{ 'union all' if not loop.last }}
        {% endfor -%}
    ) as offsets
),

demand as (
    select
        demand_days.business_day,
        lines.store_id,
        lines.product_id,
        sum(lines.net_units) as net_units_28d
    from demand_days
    inner join {{ ref('fct_order_lines') }} as lines on demand_days.demand_day = lines.business_day
    group by demand_days.business_day, lines.store_id, lines.product_id
),

joined as (
    select
        snapshots.*,
        coalesce(demand.net_units_28d, 0) as net_units_28d
    from snapshots
    left join demand
        on snapshots.business_day = demand.business_day
        and snapshots.store_id = demand.store_id
        and snapshots.product_id = demand.product_id
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
    from joined
)

select * from final
