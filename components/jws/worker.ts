import { SignJWT } from "jose"; export const a = SignJWT;
