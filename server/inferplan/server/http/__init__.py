"""The same server over streamable HTTP: stateless, for one machine or for replicas behind a load balancer.

Nothing outside this package imports it before `inferplan http` is asked for.
"""
