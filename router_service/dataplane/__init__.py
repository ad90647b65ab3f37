"""From the configuration file to Envoy: typed messages, and the files Envoy reads.

    deployment   what the file does not say: where this Envoy runs           ┐
    edge         the listener clients connect to, its filters and routes     │
    model_listeners   one internal listener per model: path, host, headers   │ pure: values in, messages out
    pools        which models are tried in which order                       │
    clusters     providers, models, pools, the service                       │
    secrets      which credentials there are, and their SDS messages         │
    status       where others find Envoy's metrics and health                │
    local_replies · access_log   what Envoy says itself                      ┘
    render       all of it as files: path to text
    files        onto the disk, atomically
    binary       which `envoy` to start
    drain        how it leaves

A request's way: edge listener -> ext_proc -> cluster `model/<key>`, or those of `pool/<preference>` one after the other
-> internal listener `model/<key>` -> cluster `provider/…` -> provider. The model's listener exists so that a second
attempt at another model begins with the client's request, untouched by the first: its path, host, headers, credential
and model id are set behind the point where Envoy retries.

Importing `envoy_data_plane` takes most of a second: only commands that render import this package's message modules.
"""
