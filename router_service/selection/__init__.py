"""What is known of models while serving: prices and latencies, read in the background from `model_metrics_sources`.

A source is read on an interval, its last good answer is kept, and a request never waits for one: it is decided with the
`Standings` of that moment, which are a value. How models are ranked by them is `router_service.routing.ranking`'s.
"""
