# impasto on the CPU, as a user without privileges. Build:  docker build -t impasto .
# Paint:  docker run --rm -v "$PWD:/work" impasto image photo.jpg painting.jpg -o out.png
FROM python:3.11-slim AS build
COPY . /source
RUN python -m venv /opt/impasto \
    && /opt/impasto/bin/pip install --no-cache-dir --extra-index-url https://download.pytorch.org/whl/cpu \
       -c /source/constraints.txt "/source[video]"

FROM python:3.11-slim
COPY --from=build /opt/impasto /opt/impasto
COPY .ci/healthcheck.py /opt/healthcheck.py
RUN useradd --create-home painter && mkdir /work && chown painter /work
USER painter
WORKDIR /work
ENV PATH=/opt/impasto/bin:$PATH PYTHONDONTWRITEBYTECODE=1
HEALTHCHECK --interval=5m --timeout=2m CMD ["python", "/opt/healthcheck.py"]
ENTRYPOINT ["impasto"]
CMD ["--help"]
