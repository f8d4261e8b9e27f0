"""The Kubernetes API: client, informers, work queues, apply, leases, events, serving.

| you want to | look at |
|---|---|
| talk to the API | `credentials.find`, `client.KubeClient`, `resources` (what is where), `errors` (what to do) |
| follow a kind | `informer.Informer` (its `store`, `synced`, `subscribe`) |
| do work on keys | `reconciler.Reconciler`: a key in; `Done`, `Again`, `Failed` out |
"""
