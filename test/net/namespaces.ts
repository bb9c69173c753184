/** Hosts for tests are the lab's hosts: network namespaces joined by veth pairs. */
export * from "../../src/lab/namespaces.ts";
