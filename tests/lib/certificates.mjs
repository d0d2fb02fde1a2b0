// Certificates for tests, made with the openssl command.
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import path from "node:path";
import { scratch } from "./servers.mjs";

export class Certificates {
  constructor(folder = scratch()) {
    this.folder = folder;
  }

  openssl(...args) {
    return execFileSync("openssl", args, { cwd: this.folder, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
  }

  path(file) {
    return path.join(this.folder, file);
  }

  read(file) {
    return readFileSync(this.path(file), "utf8");
  }

  // NAME.pem and NAME.key, signed by themselves. kind: "ec" or "rsa"; names as for subjectAltName.
  make(name, { kind = "ec", names = "DNS:localhost,IP:127.0.0.1", common = name, more = [] } = {}) {
    const key = kind === "ec" ? ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"] : ["rsa:2048"];
    this.openssl(
      ...["req", "-x509", "-newkey", ...key, "-nodes", "-days", "30", "-subj", `/CN=${common}`],
      ...["-keyout", `${name}.key`, "-out", `${name}.pem`, "-addext", `subjectAltName=${names}`, ...more],
    );
    return this;
  }

  // NAME.pem and NAME.key signed by ISSUER's, which stands behind it in the file.
  makeSigned(name, issuer, names = "DNS:localhost,IP:127.0.0.1") {
    this.openssl(
      ...["req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", `/CN=${name}`],
      ...["-keyout", `${name}.key`, "-out", `${name}.csr`, "-addext", `subjectAltName=${names}`],
    );
    const own = this.openssl(
      ...["x509", "-req", "-in", `${name}.csr`, "-CA", `${issuer}.pem`, "-CAkey", `${issuer}.key`],
      ...["-set_serial", "7", "-days", "30", "-copy_extensions", "copy"],
    );
    return { chain: own + this.read(`${issuer}.pem`) };
  }

  // The value of a listener's `tls` key.
  lua(...names) {
    const pairs = names.map((name) => `{ cert = ${JSON.stringify(this.path(`${name}.pem`))}, key = ${JSON.stringify(this.path(`${name}.key`))} }`);
    return pairs.length === 1 ? pairs[0] : `{ ${pairs.join(", ")} }`;
  }
}

// The ports of a server's listeners, in their order.
export async function ports(server, count) {
  const lines = await server.logged(/\blistening\b.*\bport=\d+/, count);
  return lines.map((line) => Number(/\bport=(\d+)/.exec(line)[1]));
}
