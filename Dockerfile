# The daemon in a container:
#   docker build --tag syncline .
#   docker run --volume "$PWD:/workspace" --user "$(id -u):$(id -g)" syncline
FROM rust:1-slim-bookworm AS build
RUN apt-get update && apt-get install --yes --no-install-recommends build-essential pkg-config
WORKDIR /source
COPY . .
RUN cargo build --release --locked --package syncline

FROM debian:bookworm-slim
# Git for Git endpoints, SSH for its remotes, certificates for everything else.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates git openssh-client \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --uid 1000 syncline
COPY --from=build /source/target/release/syncline /usr/local/bin/syncline
USER syncline
WORKDIR /workspace
# SIGTERM lets what is going on come to its end.
STOPSIGNAL SIGTERM
ENTRYPOINT ["syncline"]
CMD ["serve"]
